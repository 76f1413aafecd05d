//! `ironcast-sender`: sends an image to any number of receivers, with udp-sender's command line.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ironcast_cast::commands;
use ironcast_hosted::options::LICENSE;
use ironcast_hosted::{
    Console, Endpoint, ExitStatus, Journal, Operator, Signal, program_name, report_failure, warn,
};
use ironcast_sender::background::{self, Background};
use ironcast_sender::daemon::Patient;
use ironcast_sender::fog;
use ironcast_sender::options::Options;
use ironcast_sender::pid_file::{self, PidFile};
use ironcast_sender::{
    Chunking, Display, Ending, Image, MachineResult, Origin, ResultsFile, Settings, Source,
    Summary, Verdict, send,
};

const NAME: &str = "ironcast-sender";

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
    run(&options).unwrap_or_else(|error| {
        let journal = options.display.journal();
        report_failure(&program_name(NAME), error.as_ref(), &journal);
        ExitStatus::Failed.into()
    })
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let daemon = &options.daemon;
    if let (true, Some(path)) = (daemon.kill, &daemon.pid_file) {
        pid_file::kill(path)?;
        return Ok(ExitStatus::Success.into());
    }
    let background = match daemon.daemon_mode {
        2.. => match Background::find() {
            Some(background) => Some(background),
            None => return Ok(background::start()?.map_or(ExitCode::SUCCESS, ExitCode::from)),
        },
        _ => None,
    };
    for warning in options.warnings() {
        warn(&warning, &options.display.journal());
    }
    let mut console = Console::open(!options.display.nokbd, options.file.is_none())?;
    let status = match daemon.daemon_mode {
        0 => {
            let has_keyboard = console.has_keyboard();
            Transmission::open(options, &options.origin())?.run(has_keyboard, &mut console)?
        }
        _ => serve(options, console, background)?,
    };
    Ok(status.into())
}

/// Makes one transfer after the other, until a signal.
fn serve(
    options: &Options,
    mut console: Console,
    mut background: Option<Background>,
) -> Result<ExitStatus, Box<dyn Error>> {
    let path = options.daemon.pid_file.as_deref();
    let _pid_file = path.map(PidFile::create).transpose()?;
    let mut origin = options.origin();
    let again = origin.again();
    loop {
        let transmission = Transmission::open(options, &origin)?;
        if let Some(background) = background.take() {
            background.ready()?;
        }
        console.listen();
        let has_keyboard = console.has_keyboard();
        let mut patient = Patient::new(&mut console);
        let status = transmission.run(has_keyboard, &mut patient)?;
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
        let Some(again) = &again else {
            let text = "Warning: the daemon ends here, since stdin can't be read a second time; \
                        --file names what can.";
            warn(text, &options.display.journal());
            return Ok(status);
        };
        origin.clone_from(again);
    }
}

/// A transfer of which everything is open.
struct Transmission<'o> {
    options: &'o Options,
    settings: Settings,
    image: Image,
    results: Option<ResultsFile>,
    journal: Journal,
    endpoint: Endpoint,
}

impl<'o> Transmission<'o> {
    fn open(options: &'o Options, origin: &Origin) -> Result<Self, Box<dyn Error>> {
        let settings = options.settings()?;
        Ok(Self {
            options,
            image: open_image(options, origin)?,
            results: options.results.as_deref().map(open_results).transpose()?,
            journal: Journal::open(options.display.journal())?,
            endpoint: settings.open_endpoint()?,
            settings,
        })
    }

    fn run(
        self,
        has_keyboard: bool,
        operator: &mut dyn Operator,
    ) -> Result<ExitStatus, Box<dyn Error>> {
        let Self {
            options,
            settings,
            image,
            mut results,
            mut journal,
            endpoint,
        } = self;
        let text = greeting(options, &settings, &image, has_keyboard);
        journal.tell("opened", &text, Vec::new());
        let mut display = Display::new(
            journal,
            options.display.shows_position(options.pipe.is_some()),
        );
        let source = Source::read(image, Chunking::for_config(&settings.protocol))?;
        let summary = send(&settings, endpoint, source, operator, &mut display)?;
        display.finish(&summary);
        if let (Some(file), Some(path)) = (&mut results, &options.results) {
            let written = file.write(&summary.results);
            written.map_err(|source| ResultsError::new("write the results to", path, source))?;
        }
        Ok(exit_status(&summary))
    }
}

/// The image as it is to be sent.
fn open_image(options: &Options, origin: &Origin) -> Result<Image, Box<dyn Error>> {
    let mut image = Image::open(origin, options.pipe.as_deref())?;
    if let (true, Origin::File(path)) = (options.cast.cast, origin) {
        image = image.as_cast(options.cast.stream(path)?);
    }
    if let Some(name) = &options.fog_name {
        image = image.behind(fog::header(name)?);
    }
    Ok(image)
}

/// Whether all, some or none have the image, by what the protocol tells and by what they say
/// themselves.
fn exit_status(summary: &Summary) -> ExitStatus {
    let outcome = match summary.ending {
        Ending::Finished(outcome) => outcome,
        Ending::Sent(_) => return ExitStatus::Success,
        Ending::Stopped(signal) => return ExitStatus::Stopped(signal),
        Ending::NotStarted => return ExitStatus::NotStarted,
    };
    let is_failure = |result: &&MachineResult| matches!(result.verdict, Verdict::Failed(_));
    let has_all = |result: &&MachineResult| result.verdict == Verdict::Ok;
    let good = summary.results.iter().filter(has_all).count();
    let failed = summary.results.iter().filter(is_failure).count();
    match (good, outcome.lost + outcome.partial) {
        (0, _) => ExitStatus::TransferFailed,
        (_, 0) if failed == 0 => ExitStatus::Success,
        (_, _) => ExitStatus::SomeLost,
    }
}

fn open_results(path: &Path) -> Result<ResultsFile, ResultsError> {
    ResultsFile::open(path)
        .map_err(|source| ResultsError::new("open the results file", path, source))
}

/// The file of `--results` can't be written.
#[derive(Debug)]
struct ResultsError {
    what: String,
    source: io::Error,
}

impl ResultsError {
    fn new(action: &str, path: &Path, source: io::Error) -> Self {
        let what = format!("can't {action} {}", path.display());
        Self { what, source }
    }
}

impl fmt::Display for ResultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for ResultsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// What is about to happen, and what it waits for.
fn greeting(options: &Options, settings: &Settings, image: &Image, has_keyboard: bool) -> String {
    let protocol = &settings.protocol;
    let waits_for = match (has_keyboard, options.starts_by_itself()) {
        (true, _) => "\nReady. Press any key to start sending data.",
        (false, true) => "",
        (false, false) => {
            "\nOnly a receiver's key can start this: there is no keyboard, and none of \
             --min-receivers, --max-wait and --autostart."
        }
    };
    format!(
        "Ironcast-sender {}\nUDP sender for {} at {}\nControl to {}, data to {}{waits_for}",
        env!("CARGO_PKG_VERSION"),
        image.name(),
        settings.interface,
        protocol.control_address,
        protocol.data_address,
    )
}
