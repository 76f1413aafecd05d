//! `ironcast-sender`: sends an image to any number of receivers, with udp-sender's command line.

#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

use ironcast_hosted::options::LICENSE;
use ironcast_hosted::{Console, ExitStatus, report};
use ironcast_proto::sender::Outcome;
use ironcast_sender::options::Options;
use ironcast_sender::{Chunking, Display, Ending, Settings, Source, send};

const NAME: &str = "ironcast-sender";

fn main() -> ExitCode {
    let options = match Options::parse_from_line(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => return error.tell(NAME).into(),
    };
    if options.display.license {
        println!("{LICENSE}");
        return ExitStatus::Success.into();
    }
    run(&options)
        .unwrap_or_else(|error| {
            report(NAME, error.as_ref());
            ExitStatus::Failed
        })
        .into()
}

fn run(options: &Options) -> Result<ExitStatus, Box<dyn Error>> {
    let settings = options.settings()?;
    let chunking = Chunking::for_config(&settings.protocol);
    let source = Source::open(options.file.as_deref(), options.pipe.as_deref(), chunking)?;
    let mut console = Console::open(!options.display.nokbd, options.file.is_none())?;
    greet(options, &settings, &source, &console);
    let mut display = Display::new(!options.display.no_progress, options.display.stat_period);
    let summary = send(&settings, source, &mut console, &mut display)?;
    display.finish(&summary);
    Ok(match summary.ending {
        Ending::Finished(Outcome { completed: 0, .. }) => ExitStatus::TransferFailed,
        Ending::Sent(_) | Ending::Finished(Outcome { lost: 0, .. }) => ExitStatus::Success,
        Ending::Finished(_) => ExitStatus::SomeLost,
        Ending::Stopped(signal) => ExitStatus::Stopped(signal),
        Ending::NotStarted => ExitStatus::NotStarted,
    })
}

/// Says what is about to happen, and what it waits for.
fn greet(options: &Options, settings: &Settings, source: &Source, console: &Console) {
    let protocol = &settings.protocol;
    eprintln!("Ironcast-sender {}", env!("CARGO_PKG_VERSION"));
    eprintln!("UDP sender for {} at {}", source.name(), settings.interface);
    eprintln!(
        "Control to {}, data to {}",
        protocol.control_address, protocol.data_address
    );
    match (console.has_keyboard(), options.starts_by_itself()) {
        (true, _) => eprintln!("Ready. Press Enter to start sending data."),
        (false, true) => {}
        (false, false) => eprintln!(
            "Only a receiver's key can start this: there is no keyboard, and none of \
             --min-receivers, --max-wait and --autostart."
        ),
    }
}
