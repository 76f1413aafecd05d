//! Plots as SVG: bars for what stands side by side, lines for what grows.
//!
//! Both have logarithmic value axes: what is compared here lies factors apart.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: &[&str] = &[
    "#0060a8", "#d1741f", "#7a7a7a", "#2b8a3e", "#a61e4d", "#5f3dc4",
];

/// One series of values: its name, and a value for each place on the axis; `None` where there is
/// none.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// As many as there are places. Above 0.
    pub values: Vec<Option<f64>>,
}

/// How the values of a plot are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bars side by side at each place.
    Bars,
    /// A line from place to place.
    Lines,
}

/// Draws `series` over `places`; `unit` says what the values are.
#[must_use]
pub fn draw(shape: Shape, title: &str, unit: &str, places: &[String], series: &[Series]) -> String {
    let scale = Scale::over(series);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    text(&mut svg, WIDTH / 2.0, 20.0, "middle", title);
    text(&mut svg, LEFT, TOP - 6.0, "end", unit);
    for tick in scale.ticks() {
        let y = scale.y(tick);
        rule(&mut svg, y);
        text(&mut svg, LEFT - 6.0, y + 4.0, "end", &short(tick));
    }
    let step = (WIDTH - LEFT - RIGHT) / places.len().max(1) as f64;
    for (number, place) in places.iter().enumerate() {
        let x = LEFT + (number as f64 + 0.5) * step;
        text(&mut svg, x, HEIGHT - BOTTOM + 18.0, "middle", place);
    }
    for (number, one) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        match shape {
            Shape::Bars => {
                let width = step * 0.8 / series.len() as f64;
                let offset = step * 0.1 + width * number as f64;
                bars(&mut svg, one, &scale, colour, (step, offset, width));
            }
            Shape::Lines => lines(&mut svg, one, &scale, colour, step),
        }
        let y = TOP + 18.0 * number as f64;
        let x = WIDTH - RIGHT + 12.0;
        // Writing to a string can't fail, here and below.
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        );
        text(&mut svg, x + 18.0, y + 10.0, "start", &one.name);
    }
    svg.push_str("</svg>\n");
    svg
}

fn bars(svg: &mut String, one: &Series, scale: &Scale, colour: &str, place: (f64, f64, f64)) {
    let (step, offset, width) = place;
    for (number, value) in one.values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let x = LEFT + number as f64 * step + offset;
        let (y, bottom) = (scale.y(value), HEIGHT - BOTTOM);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
             fill=\"{colour}\"/>",
            (bottom - y).max(1.0)
        );
        text(svg, x + width / 2.0, y - 3.0, "middle", &short(value));
    }
}

fn lines(svg: &mut String, one: &Series, scale: &Scale, colour: &str, step: f64) {
    let mut points = String::new();
    for (number, value) in one.values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let (x, y) = (LEFT + (number as f64 + 0.5) * step, scale.y(value));
        let _ = write!(points, "{x:.1},{y:.1} ");
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        points.trim_end()
    );
}

fn rule(svg: &mut String, y: f64) {
    let right = WIDTH - RIGHT;
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

/// A number with three digits that count.
#[must_use]
pub fn short(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v if v >= 0.0995 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

/// From values to heights, by their logarithms.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// From the half of the least value to a fifth above the greatest.
    fn over(series: &[Series]) -> Self {
        let values = series.iter().flat_map(|one| one.values.iter().flatten());
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for &value in values.filter(|&&value| value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        Self {
            low: low / 2.0,
            high: high * 1.2,
        }
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    /// 1, 2 and 5 times the powers of ten in the range.
    fn ticks(&self) -> Vec<f64> {
        let powers = (-6..10).map(|power| 10_f64.powi(power));
        powers
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power))
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greater_value_is_higher_and_words_are_escaped() {
        let series = [Series {
            name: "a < b".to_owned(),
            values: vec![Some(1.0), None, Some(100.0)],
        }];
        let scale = Scale::over(&series);
        assert!(scale.y(100.0) < scale.y(1.0) && scale.y(1.0) < HEIGHT - BOTTOM);
        assert_eq!(scale.ticks(), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        let places = ["x".to_owned(), "y".to_owned(), "z".to_owned()];
        for shape in [Shape::Bars, Shape::Lines] {
            let svg = draw(shape, "t", "s", &places, &series);
            assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        }
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [1234.5, 12.34, 1.234, 0.01234].map(short);
        assert_eq!(texts, ["1234", "12.3", "1.23", "0.012"]);
    }
}
