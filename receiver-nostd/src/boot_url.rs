//! The URL that a machine was booted from, for asking the same server for a file beside it.

/// A URL by HTTP or HTTPS that has a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootUrl<'u> {
    folder: &'u str,
    host: &'u str,
}

impl<'u> BootUrl<'u> {
    /// Takes `url` apart; `None` if it is no such URL, or has anything in it that no URL has, which
    /// would end up in what is sent to the server.
    #[must_use]
    pub fn parse(url: &'u str) -> Option<Self> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        if !["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
        {
            return None;
        }
        let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
        let path = &rest[..path_end];
        let (authority, _) = path.split_once('/')?;
        // A user's name and password come before the host.
        let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let last_slash = path.rfind('/')?;
        let folder = &url[..scheme.len() + "://".len() + last_slash + 1];
        (!host.is_empty()).then_some(Self { folder, host })
    }

    /// All of it up to the last slash of its path, which other files' names can follow.
    #[must_use]
    pub fn folder(&self) -> &'u str {
        self.folder
    }

    /// The server's name or address, and its port if one is given, as the header `Host` has them.
    #[must_use]
    pub fn host(&self) -> &'u str {
        self.host
    }
}

/// The two parts of a URL between which a user's name and password stood, if there were any: what
/// may be shown to people.
#[must_use]
pub fn without_user(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(start);
    let authority = rest.find('/').map_or(rest, |end| &rest[..end]);
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    (scheme, &rest[user..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(&str, &str)> {
        BootUrl::parse(url).map(|url| (url.folder(), url.host()))
    }

    #[test]
    fn nobody_sees_a_password() {
        let shown = [
            ("http://me:secret@boot/a@b", "http://", "boot/a@b"),
            ("https://boot/x", "https://", "boot/x"),
            ("http://a@b@boot", "http://", "boot"),
            ("boot/x", "", "boot/x"),
        ];
        for (url, scheme, rest) in shown {
            assert_eq!(without_user(url), (scheme, rest), "{url}");
        }
    }

    #[test]
    fn a_url_has_a_folder_and_a_host() {
        let folder = "http://10.0.0.1/";
        assert_eq!(
            parts("http://10.0.0.1/ironcast.efi"),
            Some((folder, "10.0.0.1"))
        );
        let folder = "HTTPS://boot.lab:8443/net/boot/";
        assert_eq!(
            parts("HTTPS://boot.lab:8443/net/boot/ironcast.efi"),
            Some((folder, "boot.lab:8443"))
        );
        assert_eq!(
            parts("http://me:secret@boot/a?file=/b/c#/d"),
            Some(("http://me:secret@boot/", "boot"))
        );
        assert_eq!(
            parts("http://[fd00::1]/"),
            Some(("http://[fd00::1]/", "[fd00::1]"))
        );
    }

    #[test]
    fn what_is_no_url_is_none() {
        for text in [
            "",
            "http://",
            "http:///ironcast.efi",
            "http://boot",
            "http://boot?a/b",
            "http://me@/a",
            "tftp://boot/ironcast.efi",
            "ironcast.efi",
            "http://boot/a b",
            "http://boot/\r\nHost: other/",
            "http://boot/\u{e4}/",
        ] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }
}
