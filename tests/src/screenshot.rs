//! What a machine's screen shows, as a picture, and how much of it has a colour.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::LabError;

/// Red, green and blue, 0 to 255 each.
pub type Colour = [u8; 3];

/// A picture of a screen.
#[derive(Clone, PartialEq, Eq)]
pub struct Screenshot {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Screenshot {
    /// Reads a file in the format PPM, as QEMU writes it.
    ///
    /// # Errors
    /// If there is no such file, or it is something else.
    pub fn read(file: &Path) -> Result<Self, LabError> {
        let bytes =
            fs::read(file).map_err(|e| LabError::io(format!("read {}", file.display()), e))?;
        Self::parse(&bytes)
            .ok_or_else(|| LabError::wrong(format!("{} is no picture", file.display())))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // Magic, width, height and the largest value, each with a white space behind it.
        let mut fields = bytes.splitn(5, u8::is_ascii_whitespace);
        let is_ppm = fields.next()? == b"P6";
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let (width, height, largest): (usize, usize, usize) = (number()?, number()?, number()?);
        let (pixels, rest) = fields.next()?.as_chunks();
        let is_whole = pixels.len() == width * height && rest.is_empty();
        (is_ppm && largest == 255 && is_whole).then(|| Self {
            width,
            height,
            pixels: pixels.to_vec(),
        })
    }

    /// The part of it that has text: firmware puts it into the middle, below and between black. The
    /// first row of text must be coloured from its start to its end.
    #[must_use]
    pub fn text_area(&self) -> Self {
        let is_coloured = |pixel: &Colour| *pixel != [0; 3];
        let all = || self.pixels.chunks_exact(self.width.max(1));
        let top = all().position(|row| row.iter().any(is_coloured));
        let rows = all()
            .take(self.height - top.unwrap_or(0))
            .skip(top.unwrap_or(0));
        let first = rows.clone().next().unwrap_or_default();
        let left = first.iter().position(is_coloured).unwrap_or(0);
        let right = first.iter().rposition(is_coloured).map_or(0, |at| at + 1);
        let pixels = rows.flat_map(|row| row.get(left..right).unwrap_or_default());
        let pixels: Vec<Colour> = pixels.copied().collect();
        let width = right - left;
        Self {
            width,
            height: pixels.len().checked_div(width).unwrap_or(0),
            pixels,
        }
    }

    /// Pixels from top to bottom.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The share of these rows of pixels that has a colour, from 0 to 1.
    #[must_use]
    pub fn share(&self, rows: Range<usize>, is_meant: impl Fn(Colour) -> bool) -> f64 {
        let rows = rows.start * self.width..rows.end.min(self.height) * self.width;
        let pixels = self.pixels.get(rows).unwrap_or_default();
        let count = pixels.iter().filter(|&&pixel| is_meant(pixel)).count();
        count as f64 / pixels.len().max(1) as f64
    }

    /// These rows of pixels.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> &[Colour] {
        let rows = rows.start * self.width..rows.end.min(self.height) * self.width;
        self.pixels.get(rows).unwrap_or_default()
    }
}

impl std::fmt::Debug for Screenshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a picture of {} x {}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_around_the_text_does_not_count() {
        let (o, x) = ([0; 3], [9; 3]);
        let picture = Screenshot {
            width: 4,
            height: 4,
            pixels: [[o, o, o, o], [o, x, x, o], [o, o, x, o], [o, o, o, o]].concat(),
        };
        let area = picture.text_area();
        assert_eq!((area.width, area.height), (2, 2));
        assert_eq!(area.pixels, [x, x, o, x]);
        assert_eq!(area.text_area(), area);
        let blank = Screenshot {
            pixels: vec![o; 16],
            ..picture
        };
        assert_eq!(blank.text_area().height(), 0);
    }

    #[test]
    fn a_picture_is_read_whole_or_not_at_all() {
        let file = b"P6\n2 2\n255\n\x00\x98\x00\x00\x98\x00\x00\x00\x00\n \x00";
        let picture = Screenshot::parse(file).unwrap();
        let green = |[r, g, b]: Colour| r == 0 && g > 0 && b == 0;
        assert_eq!(picture.height(), 2);
        assert_eq!(picture.share(0..1, green), 1.0);
        assert_eq!(picture.share(0..9, green), 0.5);
        assert_eq!(picture.rows(1..2), [[0, 0, 0], [10, 32, 0]]);
        for len in 0..file.len() {
            assert_eq!(Screenshot::parse(&file[..len]), None, "{len}");
        }
        assert_eq!(Screenshot::parse(b"P5 1 1 255 abc"), None);
    }
}
