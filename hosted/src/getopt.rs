//! The command line as the stock programs split it into options and values, before `clap` reads the
//! values.
//!
//! The stock programs leave that to `getopt_long` of the C library: a word that an option needs is
//! taken whatever it looks like, names may be cut where only one option begins so, and words that
//! belong to no option may stand anywhere. `clap` differs in each, so it is given every option by
//! its whole name, with its value behind an equals sign, and the rest at the end.
//!
//! A name that a stock program knows means what it means there, even if one of ours begins so too.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command};

/// The option of which an empty value does not count as not given: with an empty name, to read
/// stdin or to write to stdout is not what was meant.
const NEVER_EMPTY: &str = "file";

/// Why a command line can't be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetoptError {
    /// No option is called so.
    Unknown(String),
    /// Several options begin so.
    Ambiguous {
        /// The name as it was given.
        given: String,
        /// The options.
        possible: Vec<String>,
    },
    /// The value of this option is missing.
    MissingValue(String),
    /// This option takes no value, and has one.
    UnexpectedValue(String),
}

impl fmt::Display for GetoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => {
                write!(
                    f,
                    "there is no option {option}; --help shows those there are"
                )
            }
            Self::Ambiguous { given, possible } => {
                let possible = possible.join(", ");
                write!(f, "{given} is ambiguous: it may stand for {possible}")
            }
            Self::MissingValue(option) => write!(f, "{option} needs a value"),
            Self::UnexpectedValue(option) => write!(f, "{option} takes no value"),
        }
    }
}

impl Error for GetoptError {}

/// The options that there are.
struct Table<'c> {
    /// By their names and other spellings.
    names: BTreeMap<&'c str, &'c Arg>,
    letters: BTreeMap<char, &'c Arg>,
    stock: &'c [&'c str],
}

/// Splits `line`, the program's name first, by the options of `command`, of which those in `stock`
/// are the stock program's.
///
/// # Errors
/// [`GetoptError`].
pub(crate) fn split(
    command: &Command,
    stock: &[&str],
    line: impl IntoIterator<Item = OsString>,
) -> Result<Vec<OsString>, GetoptError> {
    let table = Table::new(command, stock);
    let mut words = line.into_iter();
    let mut options: Vec<OsString> = words.next().into_iter().collect();
    let mut others = vec![OsString::from("--")];
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => {
                others.extend(&mut words);
            }
            [b'-', b'-', option @ ..] => options.extend(table.long(option, &mut words)?),
            [b'-', letters @ ..] if !letters.is_empty() => {
                table.letters(letters, &mut words, &mut options)?;
            }
            _ => others.push(word),
        }
    }
    options.extend(others);
    Ok(options)
}

impl<'c> Table<'c> {
    fn new(command: &'c Command, stock: &'c [&'c str]) -> Self {
        let mut names = BTreeMap::new();
        let mut letters = BTreeMap::new();
        for arg in command.get_arguments() {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            names.extend(arg.get_long().into_iter().chain(aliases).map(|n| (n, arg)));
            letters.extend(arg.get_short().map(|letter| (letter, arg)));
        }
        Self {
            names,
            letters,
            stock,
        }
    }

    /// The option of a word, without its dashes.
    fn long(
        &self,
        word: &[u8],
        words: &mut impl Iterator<Item = OsString>,
    ) -> Result<Option<OsString>, GetoptError> {
        let end = word.iter().position(|&byte| byte == b'=');
        let (name, value) = match end {
            Some(end) => (&word[..end], word.get(end + 1..)),
            None => (word, None),
        };
        let name = String::from_utf8_lossy(name);
        let arg = self.find(&name)?;
        let whole = || format!("--{}", self::name(arg));
        match (takes_value(arg), value) {
            (false, None) => Ok(Some(flag(arg))),
            (false, Some(_)) => Err(GetoptError::UnexpectedValue(whole())),
            (true, Some(value)) => Ok(valued(arg, OsStr::from_bytes(value))),
            (true, None) => {
                let value = words.next();
                let value = value.ok_or_else(|| GetoptError::MissingValue(whole()))?;
                Ok(valued(arg, &value))
            }
        }
    }

    /// The options of a word of letters; the last may take a value, which is the rest of the word
    /// or the next one.
    fn letters(
        &self,
        word: &[u8],
        words: &mut impl Iterator<Item = OsString>,
        options: &mut Vec<OsString>,
    ) -> Result<(), GetoptError> {
        for (index, &byte) in word.iter().enumerate() {
            let given = || format!("-{}", char::from(byte));
            let arg = self.letters.get(&char::from(byte));
            let arg = arg.ok_or_else(|| GetoptError::Unknown(given()))?;
            if !takes_value(arg) {
                options.push(flag(arg));
                continue;
            }
            let rest = OsStr::from_bytes(word.get(index + 1..).unwrap_or_default());
            let value = match rest.is_empty() {
                false => rest.to_owned(),
                true => words
                    .next()
                    .ok_or_else(|| GetoptError::MissingValue(given()))?,
            };
            options.extend(valued(arg, &value));
            break;
        }
        Ok(())
    }

    /// The option with this name, or the only one that begins so.
    fn find(&self, given: &str) -> Result<&'c Arg, GetoptError> {
        if let Some(arg) = self.names.get(given) {
            return Ok(arg);
        }
        let stock = |name: &str| self.stock.contains(&name);
        let mut possible = self.beginning(given, stock);
        if possible.is_empty() {
            possible = self.beginning(given, |_| true);
        }
        let long: BTreeSet<&str> = possible.values().filter_map(|arg| arg.get_long()).collect();
        match (long.len(), possible.into_values().next()) {
            (1, Some(arg)) => Ok(arg),
            (0, _) | (_, None) => Err(GetoptError::Unknown(format!("--{given}"))),
            (_, Some(_)) => Err(GetoptError::Ambiguous {
                given: format!("--{given}"),
                possible: long.into_iter().map(|name| format!("--{name}")).collect(),
            }),
        }
    }

    /// The options of which a name begins so, but for those that only whoever knows them uses.
    fn beginning(
        &self,
        given: &str,
        is_meant: impl Fn(&str) -> bool,
    ) -> BTreeMap<&'c str, &'c Arg> {
        let names = self.names.iter();
        names
            .filter(|(name, arg)| name.starts_with(given) && is_meant(name) && !arg.is_hide_set())
            .map(|(&name, &arg)| (name, arg))
            .collect()
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn flag(arg: &Arg) -> OsString {
    format!("--{}", name(arg)).into()
}

/// An option with its value; nothing if an empty value makes it as good as not given.
fn valued(arg: &Arg, value: &OsStr) -> Option<OsString> {
    let mut word = format!("--{}=", name(arg)).into_bytes();
    word.extend(value.as_bytes());
    let is_given = !value.is_empty() || name(arg) == NEVER_EMPTY;
    is_given.then(|| OsString::from_vec(word))
}

/// All of our options have one.
fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    const STOCK: &[&str] = &[
        "file",
        "log",
        "half-duplex",
        "mcast-all",
        "mcast-rdv",
        "no-progress",
    ];

    fn command() -> Command {
        let valued = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Set);
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        Command::new("program")
            .arg(valued("file").short('f'))
            .arg(valued("log").short('l'))
            .arg(valued("log-format"))
            .arg(valued("mcast-rdv").alias("mcast-all"))
            .arg(flag("no-progress"))
            .arg(flag("nokbd").short('k'))
            .arg(flag("half-duplex").short('c'))
            .arg(flag("help").short('h'))
            .arg(valued("hidden").hide(true))
    }

    fn split(words: &[&str]) -> Result<String, GetoptError> {
        let line = ["program"].iter().chain(words).map(OsString::from);
        let split = super::split(&command(), STOCK, line)?;
        let words = split.iter().skip(1).map(|word| word.to_string_lossy());
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_value_is_taken_whatever_it_looks_like() {
        for (words, expected) in [
            (&["-f", "-x"][..], "--file=-x --"),
            (&["--file", "--nokbd"], "--file=--nokbd --"),
            (&["-f=f"], "--file==f --"),
            (&["-ckff"], "--half-duplex --nokbd --file=f --"),
            (&["-kf", "f"], "--nokbd --file=f --"),
            (&["--file=a=b"], "--file=a=b --"),
            (&["-f", "--", "x"], "--file=-- -- x"),
        ] {
            assert_eq!(split(words).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn words_of_no_option_may_stand_anywhere() {
        let words = ["one", "-k", "-", "--", "-k", "--file"];
        assert_eq!(split(&words).as_deref(), Ok("--nokbd -- one - -k --file"));
    }

    #[test]
    fn an_empty_value_is_none_but_for_the_file() {
        let words = ["-l", "", "--log=", "--mcast-rdv", ""];
        assert_eq!(split(&words).as_deref(), Ok("--"));
        assert_eq!(split(&["-f", ""]).as_deref(), Ok("--file= --"));
    }

    #[test]
    fn of_names_that_are_cut_stocks_come_first() {
        for (word, expected) in [
            ("--h", "--half-duplex --"),
            ("--he", "--help --"),
            ("--lo=x", "--log=x --"),
            ("--log-=x", "--log-format=x --"),
            ("--mcast=x", "--mcast-rdv=x --"),
            ("--no", "--no-progress --"),
            ("--nok", "--nokbd --"),
            ("--hidden=x", "--hidden=x --"),
        ] {
            assert_eq!(split(&[word]).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn errors_name_the_option() {
        let error = |words: &[&str]| split(words).unwrap_err().to_string();
        assert!(error(&["--nothing"]).starts_with("there is no option --nothing;"));
        assert!(error(&["--hid=x"]).starts_with("there is no option --hid;"));
        assert!(error(&["-kz"]).starts_with("there is no option -z;"));
        assert_eq!(error(&["--fi"]), "--file needs a value");
        assert_eq!(error(&["-kf"]), "-f needs a value");
        assert_eq!(error(&["--nokbd=1"]), "--nokbd takes no value");
        let ambiguous = "--n is ambiguous: it may stand for --no-progress, --nokbd";
        let table = super::split(&command(), &[], ["", "--n"].map(OsString::from));
        assert_eq!(table.unwrap_err().to_string(), ambiguous);
    }
}
