//! A receiver's loop over a card and a disk that the compiler knows nothing of.

use core::hint::black_box;
use core::net::Ipv4Addr;
use core::panic::PanicInfo;

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use ironcast_proto::receiver::{self, Config, Receiver};
use ironcast_proto::sender::Sender;
use ironcast_proto::time::Instant;
use ironcast_receiver_nostd::Disk;
use ironcast_receiver_nostd::decode::gzip;
use ironcast_receiver_nostd::engine::{
    Decompress, DiskOptions, Engine, Event, MIN_RING_LEN, Memory, WRITE_SIZE,
};
use ironcast_receiver_nostd::link::{Identity, Link, LinkMemory};
use ironcast_receiver_nostd::settings::{AddressSource, Settings};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};

/// A frame's longest length, in bytes.
const FRAME: usize = 1514;

/// Memory whose length is a type's size, under a name that `cargo xtask embedded` looks for. It is
/// no part of the program.
macro_rules! size {
    ($name:literal, $symbol:ident, $size:expr) => {
        #[used]
        #[unsafe(export_name = concat!("size of ", $name))]
        #[unsafe(link_section = ".sizes")]
        static $symbol: [u8; $size] = [0; $size];
    };
}

size!("the receiver's machine", RECEIVER, size_of::<Receiver>());
size!("the sender's machine", SENDER, size_of::<Sender>());
size!(
    "the engine with the receiver's machine",
    ENGINE,
    size_of::<Engine<'_, NoDisk>>()
);
size!("the link", LINK, size_of::<Link<'_, NoCard>>());
size!(
    "the link's memory",
    LINK_MEMORY,
    size_of::<LinkMemory<'_>>()
);
size!("the gzip decoder", GZIP, size_of::<gzip::Decoder>());

struct NoCard {
    received: [u8; FRAME],
    sent: [u8; FRAME],
}

struct Frame<'a>(&'a mut [u8; FRAME]);

impl RxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(black_box(&self.0[..]))
    }
}

impl TxToken for Frame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let (frame, _) = self.0.split_at_mut(length.min(FRAME));
        let result = fill(frame);
        black_box(frame);
        result
    }
}

impl Device for NoCard {
    type RxToken<'a> = Frame<'a>;
    type TxToken<'a> = Frame<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Frame<'_>, Frame<'_>)> {
        // Whether there is a frame is not for the compiler to know.
        let frames = (Frame(&mut self.received), Frame(&mut self.sent));
        black_box(true).then_some(frames)
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Frame<'_>> {
        black_box(true).then_some(Frame(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

struct NoDisk;

impl ErrorType for NoDisk {
    type Error = ErrorKind;
}

impl Write for NoDisk {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        black_box(Ok(()))
    }
}

impl Read for NoDisk {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        Ok(black_box(bytes).len())
    }
}

impl Seek for NoDisk {
    fn seek(&mut self, _position: SeekFrom) -> Result<u64, ErrorKind> {
        black_box(Ok(0))
    }
}

impl Disk for NoDisk {
    fn capacity(&self) -> Option<u64> {
        black_box(Some(0))
    }

    fn sector_size(&self) -> Option<u32> {
        black_box(Some(512))
    }

    fn reader(&mut self) -> Option<&mut dyn Read<Error = ErrorKind>> {
        Some(self)
    }
}

#[unsafe(export_name = "_start")]
extern "C" fn start() -> ! {
    receive();
    loop {
        core::hint::spin_loop();
    }
}

fn now() -> Instant {
    Instant::from_micros(black_box(0))
}

fn receive() {
    let mut settings = Settings::default();
    let _ = settings.apply(black_box(""));
    let (mut ring, mut write_buffer) = ([0; MIN_RING_LEN], [0; WRITE_SIZE]);
    let mut gzip = gzip::Decoder::new();
    let memory = Memory {
        ring: &mut ring,
        write_buffer: &mut write_buffer,
        gzip: Some(&mut gzip),
    };
    let config = Config {
        port_base: settings.port_base,
        ..Config::default()
    };
    let options = DiskOptions::default();
    let engine = Engine::new(config, Decompress::Auto, options, memory, NoDisk, now());
    let identity = Identity {
        mac: black_box([2, 0, 0, 0, 0, 1]),
        address: black_box(AddressSource::Dhcp),
        port: settings.port_base,
        seed: black_box(1),
    };
    let mut memory = LinkMemory::new();
    let card = NoCard {
        received: [0; FRAME],
        sent: [0; FRAME],
    };
    let link = Link::new(card, identity, &mut memory, now());
    if let (Ok(engine), Ok(link)) = (engine, link) {
        run(engine, link);
    }
}

fn run(mut engine: Engine<'_, NoDisk>, mut link: Link<'_, NoCard>) {
    let mut buffer = [0; FRAME];
    loop {
        link.poll(now(), &mut |from, datagram| {
            engine.handle_datagram(now(), from, datagram)
        });
        engine.handle_timeout(now());
        engine.work(now());
        while let Some(transmit) = engine.poll_transmit(&mut buffer) {
            let _ = link.send(&transmit, &buffer[..transmit.len]);
        }
        while let Some(event) = engine.poll_event() {
            match event {
                Event::Receiver(receiver::Event::Join { group }) => drop(link.join(group)),
                Event::Finished(result) => {
                    black_box(&result);
                    return link.leave(black_box(Ipv4Addr::UNSPECIFIED));
                }
                event => drop(black_box(event)),
            }
        }
    }
}

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
