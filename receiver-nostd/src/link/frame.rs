//! A device that holds one frame: how a frame that was looked at already gets into the stack.

use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;

/// One received frame, and the right to send one in answer.
pub(super) struct OneFrame<'f, T> {
    frame: Option<(&'f [u8], T)>,
    capabilities: DeviceCapabilities,
}

impl<'f, T> OneFrame<'f, T> {
    pub(super) fn new(frame: &'f [u8], answer: T, capabilities: DeviceCapabilities) -> Self {
        Self {
            frame: Some((frame, answer)),
            capabilities,
        }
    }
}

impl<T: TxToken> Device for OneFrame<'_, T> {
    type RxToken<'a>
        = Frame<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = T
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Frame<'_>, T)> {
        let (frame, answer) = self.frame.take()?;
        Some((Frame(frame), answer))
    }

    /// Nothing goes out but the answer.
    fn transmit(&mut self, _: Instant) -> Option<T> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

/// The frame.
pub(super) struct Frame<'f>(&'f [u8]);

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}
