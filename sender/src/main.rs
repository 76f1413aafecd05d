//! `ironcast-sender`: sends an image to any number of receivers, with udp-sender's command line.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ironcast_hosted::options::LICENSE;
use ironcast_hosted::{
    Console, ExitStatus, Journal, Operator, Signal, program_name, report_failure,
};
use ironcast_proto::sender::Outcome;
use ironcast_sender::daemon::{self, Patient, PidFile};
use ironcast_sender::options::{DaemonOptions, Options};
use ironcast_sender::{Chunking, Display, Ending, Settings, Source, send};

const NAME: &str = "ironcast-sender";

fn main() -> ExitCode {
    let options = match Options::parse_from_line(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => return error.tell(&program_name(NAME)).into(),
    };
    if options.display.license {
        let _ = writeln!(io::stdout(), "{LICENSE}");
        return ExitStatus::Success.into();
    }
    run(&options)
        .unwrap_or_else(|error| {
            let journal = options.display.journal();
            report_failure(&program_name(NAME), error.as_ref(), &journal);
            ExitStatus::Failed
        })
        .into()
}

fn run(options: &Options) -> Result<ExitStatus, Box<dyn Error>> {
    let DaemonOptions {
        daemon_mode,
        pid_file,
        kill,
    } = &options.daemon;
    if let (true, Some(path)) = (*kill, pid_file) {
        daemon::kill(path)?;
        return Ok(ExitStatus::Success);
    }
    let stdin_taken = options.file.is_none();
    match daemon_mode {
        0 => {
            let mut console = Console::open(!options.display.nokbd, stdin_taken)?;
            let has_keyboard = console.has_keyboard();
            transfer(options, has_keyboard, &mut console)
        }
        2.. if !daemon::is_in_background() => {
            // What is wrong with the settings is better said while somebody reads it.
            options.settings()?;
            daemon::go_into_background()?;
            Ok(ExitStatus::Success)
        }
        _ => serve(options, pid_file.as_deref()),
    }
}

/// Makes one transfer after the other, until a signal.
fn serve(options: &Options, pid_file: Option<&Path>) -> Result<ExitStatus, Box<dyn Error>> {
    let _pid_file = pid_file.map(PidFile::write).transpose()?;
    let mut console = Console::open(!options.display.nokbd, options.file.is_none())?;
    loop {
        let has_keyboard = console.has_keyboard();
        let mut patient = Patient::new(&mut console);
        let status = transfer(options, has_keyboard, &mut patient)?;
        if patient.deferred().is_some() {
            return Ok(ExitStatus::Success);
        }
        if let ExitStatus::Stopped(signal) = status {
            // SIGTERM is how --kill ends it, and no failure.
            return Ok(match signal {
                Signal::Terminate => ExitStatus::Success,
                Signal::Hangup | Signal::Interrupt => status,
            });
        }
    }
}

fn transfer(
    options: &Options,
    has_keyboard: bool,
    operator: &mut dyn Operator,
) -> Result<ExitStatus, Box<dyn Error>> {
    let settings = options.settings()?;
    let chunking = Chunking::for_config(&settings.protocol);
    let source = Source::open(options.file.as_deref(), options.pipe.as_deref(), chunking)?;
    let mut journal = Journal::open(options.display.journal())?;
    let text = greeting(options, &settings, &source, has_keyboard);
    journal.tell("opened", &text, Vec::new());
    let mut display = Display::new(journal, options.display.shows_position());
    let summary = send(&settings, source, operator, &mut display)?;
    display.finish(&summary);
    Ok(match summary.ending {
        Ending::Finished(Outcome { completed: 0, .. }) => ExitStatus::TransferFailed,
        Ending::Sent(_) | Ending::Finished(Outcome { lost: 0, .. }) => ExitStatus::Success,
        Ending::Finished(_) => ExitStatus::SomeLost,
        Ending::Stopped(signal) => ExitStatus::Stopped(signal),
        Ending::NotStarted => ExitStatus::NotStarted,
    })
}

/// What is about to happen, and what it waits for.
fn greeting(options: &Options, settings: &Settings, source: &Source, has_keyboard: bool) -> String {
    let protocol = &settings.protocol;
    let waits_for = match (has_keyboard, options.starts_by_itself()) {
        (true, _) => "\nReady. Press Enter to start sending data.",
        (false, true) => "",
        (false, false) => {
            "\nOnly a receiver's key can start this: there is no keyboard, and none of \
             --min-receivers, --max-wait and --autostart."
        }
    };
    format!(
        "Ironcast-sender {}\nUDP sender for {} at {}\nControl to {}, data to {}{waits_for}",
        env!("CARGO_PKG_VERSION"),
        source.name(),
        settings.interface,
        protocol.control_address,
        protocol.data_address,
    )
}
