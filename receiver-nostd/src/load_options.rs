//! The settings among a program's load options: what its starter has put behind its name.

/// How programs' names end.
const PROGRAM: &str = ".efi";

/// The settings in `options`; `None` if there are none.
///
/// Firmwares put things of their own there, text or not, when nobody has set anything. So a text is
/// taken for settings if any word of it looks like one; then all of it has to be. Only a first word
/// that ends in `.efi` is left out: shells and iPXE give the program's own name, in quotation marks
/// if it has spaces.
#[must_use]
pub fn settings(options: &str) -> Option<&str> {
    let text = options.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    };
    let is_program = name
        .len()
        .checked_sub(PROGRAM.len())
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(PROGRAM));
    let words = if is_program { rest.trim_start() } else { text };
    words.contains('=').then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_alone_or_behind_the_programs_name() {
        for options in [
            "disk=auto confirm=no",
            " disk=auto confirm=no\r\n\0",
            "ironcast.efi disk=auto confirm=no",
            "FS0:\\EFI\\Boot\\BOOTX64.EFI  disk=auto confirm=no",
            "\"FS0:\\my folder\\ironcast.efi\" disk=auto confirm=no",
        ] {
            assert_eq!(settings(options), Some("disk=auto confirm=no"), "{options}");
        }
    }

    #[test]
    fn a_word_that_is_no_setting_stays_to_be_refused() {
        assert_eq!(settings("confirm disk=auto"), Some("confirm disk=auto"));
        assert_eq!(settings("\"disk=auto\" x"), Some("\"disk=auto\" x"));
    }

    #[test]
    fn without_settings_there_is_nothing() {
        for options in [
            "",
            "\0",
            "ironcast.efi",
            "\"ironcast.efi\"",
            "\"",
            ".efi",
            "Built-in \u{e4}",
        ] {
            assert_eq!(settings(options), None, "{options}");
        }
    }
}
