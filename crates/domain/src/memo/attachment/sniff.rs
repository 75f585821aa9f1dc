//! What the first bytes of a file say it is. Names and declared types are words of whoever uploads; these are not.

use super::AttachmentKind;

/// How many bytes from a file's beginning are looked at.
pub const HEAD_BYTES: usize = 64;

/// What a file is made of, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Jpeg,
    Png,
    Gif,
    Webp,
    /// ISO base media: MP4, M4A, 3GP, HEIC, AVIF.
    IsoMedia,
    Mpeg,
    Adts,
    Ogg,
    Matroska,
    Wav,
    Flac,
}

/// Types and names by the form they promise; several where encoders differ.
const PROMISES: [(&[&str], &[&str], &[Form]); 12] = [
    (&["image/jpeg"], &["jpg", "jpeg"], &[Form::Jpeg]),
    (&["image/png"], &["png"], &[Form::Png]),
    (&["image/gif"], &["gif"], &[Form::Gif]),
    (&["image/webp"], &["webp"], &[Form::Webp]),
    (&["image/avif", "image/heic", "image/heif"], &["avif", "heic", "heif"], &[Form::IsoMedia]),
    (&["audio/mpeg"], &["mp3"], &[Form::Mpeg]),
    (&["audio/mp4", "audio/x-m4a", "audio/3gpp"], &["m4a", "3gp"], &[Form::IsoMedia]),
    // Phones call the same stream so in a container and without one.
    (&["audio/aac"], &["aac"], &[Form::Adts, Form::IsoMedia]),
    (&["audio/ogg", "audio/opus"], &["ogg", "oga", "opus"], &[Form::Ogg]),
    (&["audio/webm"], &["weba"], &[Form::Matroska]),
    (&["audio/wav", "audio/x-wav"], &["wav"], &[Form::Wav]),
    (&["audio/flac"], &["flac"], &[Form::Flac]),
];

/// Returns whether a file that begins with `head` may be what it is said to be.
///
/// Images and audio, which browsers open where they are, must begin as their type does. Other files are only ever
/// downloaded and may hold anything, except that one whose name ends like an image's or audio's must be one.
pub fn may_be(kind: AttachmentKind, content_type: &str, filename: &str, head: &[u8]) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    let promised = match kind {
        AttachmentKind::Image | AttachmentKind::Audio => promise(|types, _| types.contains(&essence)),
        AttachmentKind::File => {
            let extension = filename.rsplit_once('.').map(|(_, last)| last.to_ascii_lowercase()).unwrap_or_default();
            promise(|_, names| names.contains(&extension.as_str()))
        }
    };
    match (promised, kind) {
        (Some(forms), _) => form_of(head).is_some_and(|form| forms.contains(&form)),
        (None, AttachmentKind::File) => true,
        // A type that is shown and not in the table would be a hole.
        (None, AttachmentKind::Image | AttachmentKind::Audio) => false,
    }
}

/// Returns the type of an image or audio file by its first bytes, for apps that name none.
pub fn guess(head: &[u8]) -> Option<&'static str> {
    match form_of(head)? {
        Form::Jpeg => Some("image/jpeg"),
        Form::Png => Some("image/png"),
        Form::Gif => Some("image/gif"),
        Form::Webp => Some("image/webp"),
        Form::IsoMedia => match head.get(8..12)? {
            b"heic" | b"heix" | b"mif1" => Some("image/heic"),
            b"avif" | b"avis" => Some("image/avif"),
            b"M4A " | b"M4B " | b"mp42" | b"isom" | b"iso5" => Some("audio/mp4"),
            _ => None,
        },
        Form::Mpeg => Some("audio/mpeg"),
        Form::Adts => Some("audio/aac"),
        Form::Ogg => Some("audio/ogg"),
        Form::Matroska => Some("audio/webm"),
        Form::Wav => Some("audio/wav"),
        Form::Flac => Some("audio/flac"),
    }
}

fn promise(is_meant: impl Fn(&[&str], &[&str]) -> bool) -> Option<&'static [Form]> {
    PROMISES.iter().find(|(types, names, _)| is_meant(types, names)).map(|(_, _, forms)| *forms)
}

fn form_of(head: &[u8]) -> Option<Form> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some(Form::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Form::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Form::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Form::Webp),
        [b'R', b'I' | b'F', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(Form::Wav),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Form::IsoMedia),
        [b'O', b'g', b'g', b'S', ..] => Some(Form::Ogg),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(Form::Matroska),
        [b'f', b'L', b'a', b'C', ..] => Some(Form::Flac),
        [b'I', b'D', b'3', ..] => Some(Form::Mpeg),
        // Frame headers: eleven bits, and a layer, which is none in ADTS.
        [0xFF, second, ..] if second & 0xF6 == 0xF0 => Some(Form::Adts),
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x06 != 0 => Some(Form::Mpeg),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

    fn image(content_type: &str, head: &[u8]) -> bool {
        may_be(AttachmentKind::Image, content_type, "a", head)
    }

    fn audio(content_type: &str, head: &[u8]) -> bool {
        may_be(AttachmentKind::Audio, content_type, "a", head)
    }

    #[test]
    fn what_begins_as_its_type_does_is_taken() {
        assert!(image("image/png", PNG) && image("image/jpeg", b"\xff\xd8\xff\xe0"));
        assert!(image("image/gif", b"GIF89a") && image("image/webp", b"RIFF\0\0\0\0WEBPVP8 "));
        assert!(image("image/heic", b"\0\0\0\x18ftypheic"));
        assert!(audio("audio/mpeg", b"ID3\x04") && audio("audio/mpeg", b"\xff\xfb\x90\x44"));
        assert!(audio("audio/mp4", b"\0\0\0\x20ftypM4A ") && audio("audio/aac", b"\xff\xf1\x50"));
        assert!(audio("audio/webm;codecs=opus", b"\x1a\x45\xdf\xa3") && audio("audio/ogg", b"OggS"));
        assert!(audio("audio/wav", b"RIFF\0\0\0\0WAVEfmt ") && audio("audio/flac", b"fLaC"));
    }

    #[test]
    fn an_executable_is_no_picture_whatever_it_is_called() {
        for head in [b"MZ\x90\0".as_slice(), b"\x7fELF\x02", b"#!/bin/sh", b"<html>", b"PK\x03\x04", b""] {
            assert!(!image("image/png", head));
            assert!(!audio("audio/mpeg", head));
            assert!(!may_be(AttachmentKind::File, "application/octet-stream", "cat.PNG", head));
            assert!(may_be(AttachmentKind::File, "application/octet-stream", "setup", head));
        }
        assert!(!image("image/jpeg", PNG) && !audio("audio/mpeg", b"\xff\xf1\x50"));
        assert!(may_be(AttachmentKind::File, "application/octet-stream", "cat.png", PNG));
    }

    #[test]
    fn what_is_guessed_may_be_so() {
        for head in [PNG, b"GIF89a", b"\0\0\0\x18ftypheic", b"\0\0\0\x20ftypM4A ", b"OggS", b"ID3\x04", b"fLaC"] {
            let guessed = guess(head).unwrap();
            assert!(may_be(AttachmentKind::File, guessed, "a", head));
            assert!(image(guessed, head) || audio(guessed, head), "{guessed}");
        }
        assert_eq!(guess(b"MZ\x90\0"), None);
        assert_eq!(guess(b"\0\0\0\x18ftypqt  "), None);
    }

    #[test]
    fn every_type_that_is_shown_is_in_the_table() {
        for content_type in super::super::IMAGES.iter().chain(&super::super::AUDIO) {
            assert!(promise(|types, _| types.contains(content_type)).is_some(), "{content_type}");
        }
    }
}
