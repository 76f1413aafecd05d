//! What our receiver tells of a transfer in its log.

/// The line that `ironcast.efi` prints with `stats=yes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Names with seconds: moments since the program's entry, and what took how long.
    seconds: Vec<(String, f64)>,
}

impl Stats {
    /// Reads it from what the machine has said, once its result is good.
    pub fn find(serial: &str) -> Option<Self> {
        serial.contains("ironcast: result ok ").then_some(())?;
        let mut lines = serial.lines();
        let words = lines
            .find_map(|line| line.split_once("ironcast: stats "))?
            .1;
        let seconds = words.split_whitespace().filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            // Behind a slash are calls and bytes.
            let micros = value.split('/').next()?.parse::<f64>().ok()?;
            Some((name.to_owned(), micros / 1e6))
        });
        Some(Self {
            seconds: seconds.collect(),
        })
    }

    /// The seconds of a moment or of what took time.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        let mut all = self.seconds.iter();
        Some(all.find(|(one, _)| one == name)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_count_when_the_result_is_good() {
        let line = "ironcast: stats entry=0 flushed=1561004 ready=2873155 nic=500000/2/3\n";
        assert_eq!(Stats::find(line), None);
        let stats = Stats::find(&format!("{line}ironcast: result ok bytes=1\n")).unwrap();
        assert_eq!(stats.seconds("flushed"), Some(1.561_004));
        assert_eq!(stats.seconds("nic"), Some(0.5));
        assert_eq!(stats.seconds("decode"), None);
    }
}
