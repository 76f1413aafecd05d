//! Files in the folder that this program was loaded from, such as on a USB stick.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use uefi::proto::device_path::media::FilePath;
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::media::file::{File, FileAttribute, FileMode};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::{CString16, Status, boot};

use super::firmware;
use super::network_boot::FetchError;

/// Reads the file `name`, of `limit` bytes at most; and its path, for people to find it. `/` in
/// the name separates folders.
pub(crate) fn beside_the_program(
    name: &str,
    limit: usize,
) -> (String, Result<Vec<u8>, FetchError>) {
    let name = name.replace('/', r"\");
    let Some(image) = firmware::open_shared::<LoadedImage>(boot::image_handle()) else {
        return (name, Err(FetchError::NotThere));
    };
    let path = format!("{}{name}", folder_of(&image));
    let contents = read(&image, &path, limit);
    (path, contents)
}

/// The folder of a program's file, with a backslash at its end.
fn folder_of(image: &LoadedImage) -> String {
    let mut path = String::new();
    let nodes = image
        .file_path()
        .into_iter()
        .flat_map(|path| path.node_iter());
    for part in nodes.filter_map(|node| <&FilePath>::try_from(node).ok()) {
        if !path.ends_with('\\') {
            path.push('\\');
        }
        if let Ok(name) = part.path_name().to_cstring16() {
            path.push_str(&name.to_string());
        }
    }
    path.truncate(path.rfind('\\').map_or(0, |at| at + 1));
    if path.is_empty() {
        "\\".to_owned()
    } else {
        path.replace("\\\\", "\\")
    }
}

/// Reads a file of the file system that the program was loaded from.
fn read(image: &LoadedImage, path: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
    const NOT_THERE: FetchError = FetchError::NotThere;
    let device = image.device().ok_or(NOT_THERE)?;
    let mut system = firmware::open_shared::<SimpleFileSystem>(device).ok_or(NOT_THERE)?;
    let path = CString16::try_from(path).map_err(|_| NOT_THERE)?;
    let mut root = system.open_volume().map_err(|_| NOT_THERE)?;
    let file = root
        .open(&path, FileMode::Read, FileAttribute::empty())
        .map_err(|error| match error.status() {
            Status::NOT_FOUND => NOT_THERE,
            status => FetchError::Failed(status),
        })?;
    let mut file = file.into_regular_file().ok_or(NOT_THERE)?;
    // With room for one byte too many, by which that is told.
    let mut contents = alloc::vec![0; limit + 1];
    match file.read(&mut contents) {
        Ok(length) if length > limit => Err(FetchError::TooLarge(limit)),
        Ok(length) => {
            contents.truncate(length);
            Ok(contents)
        }
        Err(error) => Err(FetchError::Failed(error.status())),
    }
}
