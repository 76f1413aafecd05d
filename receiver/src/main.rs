//! `ironcast-receiver`: receives an image and writes it, with udp-receiver's command line.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use ironcast_cast::commands;
use ironcast_hosted::options::LICENSE;
use ironcast_hosted::{
    Console, ExitStatus, Incomplete, Journal, Target, program_name, report_failure, warn,
};
use ironcast_proto::receiver::Failure;
use ironcast_receiver::options::Options;
use ironcast_receiver::{Display, Ending, receive};
use ironcast_receiver_nostd::engine;

const NAME: &str = "ironcast-receiver";

fn main() -> ExitCode {
    if let Some(status) = commands::run(std::env::args_os()) {
        return status.into();
    }
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
    for warning in options.display.warnings() {
        warn(&warning, &options.display.journal());
    }
    let settings = options.settings(options.cast_settings()?)?;
    let mut journal = Journal::open(options.display.journal())?;
    let (file, command) = (options.file.as_deref(), options.pipe.clone());
    let target = Target::open(file, command, options.durability())?;
    let name = target.name().to_owned();
    let mut console = Console::open(!options.display.nokbd, false)?;
    let text = format!(
        "Ironcast-receiver {}\nUDP receiver for {name} at {}",
        env!("CARGO_PKG_VERSION"),
        settings.interface
    );
    journal.tell("opened", &text, Vec::new());
    let mut display = Display::new(journal, console.has_keyboard());
    if options.display.shows_position(options.pipe.is_some()) {
        display = display.with_position(target.position()?);
    }
    let summary = receive(&settings, target, &mut console, &mut display)?;
    display.finish(&summary, &name);
    Ok(match summary.ending {
        Ending::Complete(report) if !report.is_whole() => ExitStatus::SomeLost,
        Ending::Complete(_) => ExitStatus::Success,
        Ending::Stopped(signal) => ExitStatus::Stopped(signal),
        Ending::Failed(error) => {
            let status = failure_status(&error);
            let incomplete = Incomplete {
                name,
                written: summary.progress.written,
                error,
            };
            report_failure(&program_name(NAME), &incomplete, &options.display.journal());
            status
        }
    })
}

/// Whose fault it was: a script may want to try again after the network's, but not after the
/// disk's.
fn failure_status(error: &engine::Error<io::Error>) -> ExitStatus {
    match error {
        engine::Error::Transfer(Failure::NotStarted) => ExitStatus::NotStarted,
        engine::Error::Transfer(_) => ExitStatus::TransferFailed,
        _ => ExitStatus::Failed,
    }
}
