//! The operator of a daemon, `--daemon-mode`: one transfer after the other.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use ironcast_hosted::{Command, Operator, Signal};

/// An operator whose SIGTERM waits for the end of the transfer.
#[derive(Debug)]
pub struct Patient<'o, O> {
    operator: &'o mut O,
    is_transferring: bool,
    deferred: Option<Signal>,
}

impl<'o, O: Operator> Patient<'o, O> {
    /// One that passes everything else on.
    pub fn new(operator: &'o mut O) -> Self {
        Self {
            operator,
            is_transferring: false,
            deferred: None,
        }
    }

    /// The signal that has waited.
    #[must_use]
    pub fn deferred(&self) -> Option<Signal> {
        self.deferred
    }
}

impl<O: Operator> Operator for Patient<'_, O> {
    fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
        self.operator.wake_fds()
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.operator.poll_interval()
    }

    fn poll_command(&mut self) -> Option<Command> {
        match self.operator.poll_command() {
            Some(Command::Stop(Signal::Terminate)) if self.is_transferring => {
                self.deferred = Some(Signal::Terminate);
                None
            }
            command => command,
        }
    }

    fn transfer_started(&mut self) {
        self.is_transferring = true;
        self.operator.transfer_started();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Signalled;

    impl Operator for Signalled {
        fn wake_fds(&self) -> [Option<BorrowedFd<'_>>; 2] {
            [None, None]
        }

        fn poll_interval(&self) -> Option<Duration> {
            None
        }

        fn poll_command(&mut self) -> Option<Command> {
            Some(Command::Stop(Signal::Terminate))
        }

        fn transfer_started(&mut self) {}
    }

    #[test]
    fn a_transfer_is_not_interrupted_by_the_end_of_the_daemon() {
        let mut operator = Signalled;
        let mut patient = Patient::new(&mut operator);
        assert_eq!(
            patient.poll_command(),
            Some(Command::Stop(Signal::Terminate))
        );
        patient.transfer_started();
        assert_eq!(patient.poll_command(), None);
        assert_eq!(patient.deferred(), Some(Signal::Terminate));
    }
}
