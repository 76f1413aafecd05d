//! What is measured: who sends what to how many, over which network, to where.

use crate::options::{Options, Part};

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// Our sender and receivers.
    Ours,
    /// Debian's `udp-sender` and `udp-receiver`.
    Stock,
    /// `uftp` and `uftpd`.
    Uftp,
    /// Our sender, stock receivers.
    OursToStock,
    /// The stock sender, our receivers.
    StockToOurs,
    /// Nobody: the same bytes are copied from one file to as many.
    Copy,
}

impl Contender {
    /// What tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ironcast",
            Self::Stock => "udpcast",
            Self::Uftp => "UFTP",
            Self::OursToStock => "ironcast to udpcast",
            Self::StockToOurs => "udpcast to ironcast",
            Self::Copy => "copy",
        }
    }
}

/// Where the receivers write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file in memory.
    Memory,
    /// A file on the disk; the time includes that it is safe there.
    Disk,
    /// A loop device over a file on the disk, past the system's cache.
    Loop,
}

impl Target {
    /// What tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Loop => "loop",
        }
    }
}

/// One comparison: all contenders do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// How many receivers.
    pub receivers: usize,
    /// Datagrams lost on the way to each receiver, and as many on the way back; percent.
    pub loss: u32,
    /// Whether links carry datagrams one by one, as they have to where some are to be lost.
    pub singly: bool,
    /// Whether the sender adds redundancy: 8x8/128.
    pub fec: bool,
    /// Where the receivers write to.
    pub target: Target,
    /// How many MiB at most; on small machines less.
    pub mebibytes: u64,
    /// Who is compared.
    pub contenders: &'static [Contender],
}

impl Case {
    /// The case in a few words: what differs within a page.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("{} rec.", self.receivers);
        if self.singly {
            words.push_str(&format!(", {} %", self.loss));
        }
        if self.fec {
            words.push_str(", FEC");
        }
        if self.target != Target::Memory {
            words.push_str(&format!(", {}", self.target.name()));
        }
        words
    }
}

/// The cases of a part that measures transfers; none for the others.
#[must_use]
pub fn cases(part: Part, options: &Options) -> Vec<Case> {
    use Contender::{Copy, Ours, OursToStock, Stock, StockToOurs, Uftp};
    // Many receivers share this one machine's processors and memory, and take as much longer.
    let case = |receivers, loss, contenders| Case {
        receivers,
        loss,
        singly: loss > 0,
        fec: false,
        target: Target::Memory,
        mebibytes: options.mebibytes() / if receivers > 4 { 4 } else { 1 },
        contenders,
    };
    let smaller = |by, case: Case| Case {
        mebibytes: case.mebibytes / by,
        ..case
    };
    let singly = |case: Case| Case {
        singly: true,
        ..smaller(4, case)
    };
    let all: &[Contender] = &[Ours, Stock, Uftp];
    match part {
        Part::Memory => [1, 4, 16]
            .map(|receivers| case(receivers, 0, &[Ours, Stock, Uftp, Copy]))
            .to_vec(),
        Part::Disk => [(Target::Disk, all), (Target::Loop, &[Ours, Stock])]
            .map(|(target, contenders)| Case {
                target,
                ..smaller(4, case(4, 0, contenders))
            })
            .to_vec(),
        Part::Loss => [1, 4, 16]
            .into_iter()
            .flat_map(|receivers| [0, 1, 5].map(|loss| singly(case(receivers, loss, all))))
            .collect(),
        Part::Mixed => [(1, 0), (4, 0), (16, 0), (4, 1)]
            .map(|(receivers, loss)| {
                smaller(4, case(receivers, loss, &[Stock, OursToStock, StockToOurs]))
            })
            .to_vec(),
        Part::Fec => [(1, 0), (4, 0), (4, 1), (4, 5)]
            .map(|(receivers, loss)| Case {
                fec: true,
                ..smaller(4, case(receivers, loss, &[Ours, Stock]))
            })
            .to_vec(),
        Part::Images | Part::Machines | Part::Pieces | Part::Scale => Vec::new(),
    }
}
