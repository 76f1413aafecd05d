//! The firmware's HTTP client, for files beside the one that was booted by HTTP.
//!
//! The bindings have a helper for this, but it waits for a silent server without end, and it wants
//! an address of the firmware's network stack, which has none any more when the boot is over. The
//! path of the boot device still has it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::{CStr, c_void};
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use core::slice;

use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::boot_url::{self, BootUrl};
use uefi::boot::{self, EventType, ScopedProtocol, Tpl};
use uefi::proto::device_path::DevicePath;
use uefi::proto::device_path::messaging::{Ipv4, Uri};
use uefi::proto::network::http::{Http, HttpBinding};
use uefi::{CString16, Event, Handle, Status};
use uefi_raw::protocol::network::http::{
    HttpAccessPoint, HttpConfigData, HttpHeader, HttpMessage, HttpMethod, HttpRequestData,
    HttpRequestOrResponse, HttpResponseData, HttpStatusCode, HttpToken, HttpV4AccessPoint,
    HttpVersion,
};

use super::clock::Clock;
use super::firmware::{self, Path};
use super::network_boot::FetchError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a whole file may take: a MiB comes in seconds.
const WHOLE_FILE: Duration = Duration::from_secs(60);

/// How long the server may take for each part of its answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How often the firmware's network stack is driven meanwhile.
const POLL: Duration = Duration::from_millis(1);

/// What this program was booted by, for asking the same server again.
#[derive(Debug)]
pub(crate) struct HttpClient {
    /// The network card, which gives out connections.
    card: Handle,
    /// The machine's address.
    address: HttpV4AccessPoint,
    /// The URL of the program.
    url: String,
}

impl HttpClient {
    /// The client that the path of `boot_device` tells of, and the Ethernet address of its card;
    /// `None` if this program was not booted by HTTP over IPv4.
    pub(crate) fn find(boot_device: Handle) -> Option<(Self, [u8; 6])> {
        let path = firmware::open_shared::<DevicePath>(boot_device)?;
        let uri = path
            .node_iter()
            .find_map(|node| <&Uri>::try_from(node).ok());
        let url = str::from_utf8(uri?.value()).ok()?;
        let url = String::from(url.trim_end_matches('\0'));
        BootUrl::parse(&url)?;
        let ip = path
            .node_iter()
            .find_map(|node| <&Ipv4>::try_from(node).ok());
        let ip = ip?;
        let path = Path::of(boot_device);
        let card = firmware::handles_of::<HttpBinding>()
            .into_iter()
            .find(|&card| path.leads_through(&Path::of(card)))?;
        let address = HttpV4AccessPoint {
            // A firmware that doesn't tell may have kept it for itself.
            use_default_addr: (ip.local_ip_address() == [0; 4]).into(),
            local_address: ip.local_ip_address().into(),
            local_subnet: ip.subnet_mask().into(),
            local_port: 0,
        };
        Some((Self { card, address, url }, path.ethernet_address()?))
    }

    /// The URL of the file `name` as people may see it.
    pub(crate) fn place(&self, name: &str) -> String {
        let url = self.url_of(name);
        let (scheme, rest) = boot_url::without_user(&url);
        format!("{scheme}{rest}")
    }

    fn url_of(&self, name: &str) -> String {
        let folder = BootUrl::parse(&self.url).map_or("", |url| url.folder());
        format!("{folder}{name}")
    }

    /// Fetches the file `name`, of `limit` bytes at most, out of the folder of the file that was
    /// booted.
    pub(crate) fn fetch(
        &self,
        name: &str,
        limit: usize,
        clock: &Clock,
    ) -> Result<Vec<u8>, FetchError> {
        let host = BootUrl::parse(&self.url).map_or("", |url| url.host());
        let mut connection = Connection::open(self.card, self.address, clock)?;
        connection.send_request(&self.url_of(name), host)?;
        connection.receive_file(limit)
    }
}

/// A connection of the firmware's HTTP client.
struct Connection<'c> {
    clock: &'c Clock,
    binding: ScopedProtocol<HttpBinding>,
    child: Handle,
    /// There until the child is destroyed.
    http: Option<ScopedProtocol<Http>>,
    /// Signalled by the firmware when it has done what it was asked for.
    done: Option<Event>,
}

impl<'c> Connection<'c> {
    fn open(
        card: Handle,
        mut address: HttpV4AccessPoint,
        clock: &'c Clock,
    ) -> Result<Self, FetchError> {
        const GONE: FetchError = FetchError::Failed(Status::NOT_FOUND);
        let mut binding = firmware::open_shared::<HttpBinding>(card).ok_or(GONE)?;
        let child = binding.create_child().map_err(failed)?;
        // SAFETY: an event that calls nothing; the firmware may signal it until it is closed, which
        // is after the child that knows of it is destroyed.
        let done = unsafe { boot::create_event(EventType::empty(), Tpl::CALLBACK, None, None) };
        let mut connection = Self {
            clock,
            http: firmware::open_shared::<Http>(child),
            binding,
            child,
            done: done.ok(),
        };
        let settings = HttpConfigData {
            http_version: HttpVersion::HTTP_VERSION_10,
            time_out_millisec: u32::try_from(CONNECT.as_millis()).unwrap_or(u32::MAX),
            local_addr_is_ipv6: false.into(),
            access_point: HttpAccessPoint {
                ipv4_node: &raw mut address,
            },
        };
        let http = connection.http.as_mut().ok_or(GONE)?;
        http.configure(&settings).map_err(failed)?;
        Ok(connection)
    }

    fn send_request(&mut self, url: &str, host: &str) -> Result<(), FetchError> {
        let url = CString16::try_from(url).map_err(|_| FetchError::NotThere)?;
        let host = format!("{host}\0");
        let request = HttpRequestData {
            method: HttpMethod::GET,
            url: url.as_ptr().cast(),
        };
        let mut header = HttpHeader {
            field_name: c"Host".as_ptr().cast(),
            field_value: host.as_ptr(),
        };
        let mut message = HttpMessage {
            data: HttpRequestOrResponse {
                request: &raw const request,
            },
            header_count: 1,
            header: &raw mut header,
            ..HttpMessage::default()
        };
        match self.finish(&mut message, Http::request)? {
            Status::SUCCESS => Ok(()),
            status => Err(FetchError::Failed(status)),
        }
    }

    /// Receives an answer, and the whole file in it, of `limit` bytes at most.
    fn receive_file(&mut self, limit: usize) -> Result<Vec<u8>, FetchError> {
        let mut file = alloc::vec![0; limit];
        let mut response = HttpResponseData::default();
        let mut message = HttpMessage {
            data: HttpRequestOrResponse {
                response: &raw mut response,
            },
            ..message_for(&mut file)
        };
        let status = self.finish(&mut message, Http::response)?;
        let headers = Headers::of(&message);
        if status != Status::SUCCESS && status != Status::HTTP_ERROR {
            return Err(FetchError::Failed(status));
        }
        judge(response.status_code)?;
        // Without it nobody can tell a whole file from half of one.
        let length = headers
            .content_length()
            .ok_or(FetchError::Failed(Status::BAD_BUFFER_SIZE))?;
        let rest = file.get_mut(..length).ok_or(FetchError::TooLarge(limit))?;
        let mut received = message.body_length;
        let deadline = self.clock.now() + WHOLE_FILE;
        while let Some(rest) = rest.get_mut(received..).filter(|rest| !rest.is_empty()) {
            if self.clock.now() >= deadline {
                return Err(FetchError::Failed(Status::TIMEOUT));
            }
            let mut message = message_for(rest);
            match self.finish(&mut message, Http::response)? {
                Status::SUCCESS if message.body_length > 0 => received += message.body_length,
                Status::SUCCESS => return Err(FetchError::Failed(Status::END_OF_FILE)),
                status => return Err(FetchError::Failed(status)),
            }
        }
        file.truncate(length);
        Ok(file)
    }

    /// Has `start` begin something with `message`, and waits until it is done, [`ANSWER`] at most;
    /// gives its result.
    fn finish(
        &mut self,
        message: &mut HttpMessage,
        start: fn(&mut Http, &mut HttpToken) -> uefi::Result,
    ) -> Result<Status, FetchError> {
        let (Some(http), Some(done)) = (&mut self.http, &self.done) else {
            return Err(FetchError::Failed(Status::OUT_OF_RESOURCES));
        };
        let mut token = HttpToken {
            event: done.as_ptr(),
            status: Status::NOT_READY,
            message,
        };
        start(http, &mut token).map_err(failed)?;
        let deadline = self.clock.now() + ANSWER;
        while self.clock.now() < deadline {
            // It has news or it hasn't; whether all is done shows at the event.
            let _ = http.poll();
            if boot::check_event(done) == Ok(true) {
                return Ok(token.status);
            }
            boot::stall(POLL);
        }
        // From now on the firmware leaves `token` and `message` alone. It refuses only if it has
        // done so already.
        let _ = http.cancel(&mut token);
        Err(FetchError::Failed(Status::TIMEOUT))
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.http = None;
        // Should it fail, the firmware keeps an idle connection.
        let _ = self.binding.destroy_child(self.child);
        if let Some(done) = self.done.take() {
            let _ = boot::close_event(done);
        }
    }
}

/// A message whose body goes to `body`.
fn message_for(body: &mut [u8]) -> HttpMessage {
    HttpMessage {
        body_length: body.len(),
        body: body.as_mut_ptr().cast::<c_void>(),
        ..HttpMessage::default()
    }
}

fn judge(code: HttpStatusCode) -> Result<(), FetchError> {
    const REFUSALS: RangeInclusive<HttpStatusCode> =
        HttpStatusCode::STATUS_300_MULTIPLE_CHOICES..=HttpStatusCode::STATUS_417_EXPECTATION_FAILED;
    match code {
        HttpStatusCode::STATUS_200_OK => Ok(()),
        // Where the file for all is a folder too, servers lead there: nothing is to be had there.
        HttpStatusCode::STATUS_308_PERMANENT_REDIRECT => Err(FetchError::NotThere),
        // There may be one, and it may be the one that asks a person first.
        HttpStatusCode::STATUS_401_UNAUTHORIZED
        | HttpStatusCode::STATUS_403_FORBIDDEN
        | HttpStatusCode::STATUS_408_REQUEST_TIME_OUT => {
            Err(FetchError::Failed(Status::ACCESS_DENIED))
        }
        code if REFUSALS.contains(&code) => Err(FetchError::NotThere),
        _ => Err(FetchError::Failed(Status::HTTP_ERROR)),
    }
}

fn failed(error: uefi::Error) -> FetchError {
    FetchError::Failed(error.status())
}

/// The headers of an answer, in memory that the firmware has allocated for us.
struct Headers {
    first: *mut HttpHeader,
    count: usize,
}

impl Headers {
    /// Takes over those of `message`, which the firmware has filled.
    fn of(message: &HttpMessage) -> Self {
        Self {
            first: message.header,
            count: message.header_count,
        }
    }

    /// How many bytes the body has.
    fn content_length(&self) -> Option<usize> {
        let is_length = |header: &&HttpHeader| {
            self.text(header.field_name)
                .is_some_and(|name| name.eq_ignore_ascii_case("content-length"))
        };
        let header = self.entries().iter().find(is_length)?;
        self.text(header.field_value)?.trim().parse().ok()
    }

    fn entries(&self) -> &[HttpHeader] {
        if self.first.is_null() {
            return &[];
        }
        // SAFETY: the firmware has written `count` headers from `first` on, which are nobody
        // else's, and which only our own drop frees.
        unsafe { slice::from_raw_parts(self.first, self.count) }
    }

    /// The name or value at `place`, if it is text.
    fn text(&self, place: *const u8) -> Option<&str> {
        if place.is_null() {
            return None;
        }
        // SAFETY: names and values have a zero at their end, and live as long as `self` does.
        unsafe { CStr::from_ptr(place.cast()) }.to_str().ok()
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        for header in self.entries() {
            free(header.field_name);
            free(header.field_value);
        }
        free(self.first.cast());
    }
}

fn free(place: *const u8) {
    if let Some(place) = NonNull::new(place.cast_mut()) {
        // SAFETY: the headers and what they point to come from the firmware's pool, belong to who
        // received them, and are freed only here.
        let _ = unsafe { boot::free_pool(place) };
    }
}
