//! What is said of a transfer's events.
//!
//! A person reads it at the machine, hours later perhaps.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use ironcast_proto::receiver;

/// Whether a person should read of an event even later.
pub(crate) fn is_warning(event: &receiver::Event) -> bool {
    matches!(
        event,
        receiver::Event::Other { .. }
            | receiver::Event::TooLate { .. }
            | receiver::Event::Joined { .. }
            | receiver::Event::DataLost { .. }
            | receiver::Event::Lost
    )
}

/// What a person at the machine should know of an event.
pub(crate) fn text(event: &receiver::Event) -> Option<String> {
    Some(match event {
        receiver::Event::Heard { sender } => format!("ironcast: sender {} heard", sender.ip()),
        receiver::Event::Asynchronous { sender, block_size } => format!(
            "ironcast: following {} without a word, blocks of {block_size} bytes",
            sender.ip()
        ),
        receiver::Event::Connected {
            sender,
            number,
            block_size,
            ..
        } => format!(
            "ironcast: connected to {} as receiver {number}, blocks of {block_size} bytes",
            sender.ip()
        ),
        receiver::Event::Other { sender } => format!(
            "ironcast: another sender, {}, uses the same port; it is ignored",
            sender.ip()
        ),
        receiver::Event::TooLate { sender } => format!(
            "ironcast: {} is in the middle of a transfer; waiting for the next \
             (late-join=yes takes the rest of this one)",
            sender.ip()
        ),
        receiver::Event::Joined { slice } => format!(
            "ironcast: joined late, at slice {slice}: the disk gets the rest of the image, not all"
        ),
        receiver::Event::DataLost { offset } => {
            format!("ironcast: data lost after byte {offset}; going on without them")
        }
        receiver::Event::Lost => "ironcast: the sender fell silent; looking again".to_owned(),
        receiver::Event::Started => "ironcast: transfer started".to_owned(),
        receiver::Event::Join { .. }
        | receiver::Event::Ended { .. }
        | receiver::Event::Finished(_) => return None,
    })
}
