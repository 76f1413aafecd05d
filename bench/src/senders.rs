//! What both senders of UDPcast's wire tell of a transfer in their logs.

/// How many blocks a sender has sent again, by the last time that its log tells, as in
/// `re-xmits=0000289 (  0.6%)`.
pub fn sent_again(log: &str) -> Option<u64> {
    let (_, rest) = log.rsplit_once("re-xmits=")?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_of_blocks_sent_again_is_found() {
        let log = "bytes= 1 re-xmits=0000001 (  5.8%)\nbytes= 2 re-xmits=0000289 (  0.6%) slice";
        assert_eq!(sent_again(log), Some(289));
        assert_eq!(sent_again("Starting transfer"), None);
    }
}
