//! How long a recording plays, and how loud it is over that time.

use std::time::Duration;

use symphonia::core::{
    audio::SampleBuffer,
    codecs::{CODEC_TYPE_NULL, Decoder, DecoderOptions},
    formats::{FormatOptions, FormatReader, Packet, Track},
    io::{MediaSource, MediaSourceStream},
    meta::MetadataOptions,
    probe::Hint,
    units::TimeBase,
};
use tokio::time::Instant;

use super::{Preview, WAVEFORM_VALUES};

/// Longest to listen to one recording; what is known by then is kept.
const PATIENCE: Duration = Duration::from_mins(1);
/// Loudest values of the signal are kept for so many stretches of a recording, then for each two of them.
const STRETCHES_MAX: usize = 8 * WAVEFORM_VALUES;

/// Listens to a recording. One whose codec is not known here (Opus) has a length and no waveform.
pub(super) fn listen(source: impl MediaSource + 'static, content_type: &str) -> Option<Preview> {
    let stream = MediaSourceStream::new(Box::new(source), symphonia::core::io::MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    hint.mime_type(content_type.split(';').next().unwrap_or_default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = symphonia::default::get_probe().format(&hint, stream, &format, &metadata).ok()?.format;
    let track = format.tracks().iter().find(|track| track.codec_params.codec != CODEC_TYPE_NULL)?.clone();
    let decoder = symphonia::default::get_codecs().make(&track.codec_params, &DecoderOptions::default()).ok();
    let heard = hear(format.as_mut(), &track, decoder);
    let length = track.codec_params.n_frames.or(heard.end)?;
    let rate = track.codec_params.sample_rate.filter(|rate| *rate > 0);
    let base = track.codec_params.time_base.or(rate.map(|rate| TimeBase::new(1, rate)))?;
    let time = base.calc_time(length);
    // At most three digits of the fraction of a second.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction is from 0 to 1")]
    let duration_ms = time.seconds.saturating_mul(1000).saturating_add((time.frac * 1000.0) as u64);
    (duration_ms > 0).then(|| Preview::Audio { duration_ms, waveform: heard.loudness.waveform() })
}

/// What was heard of a recording.
struct Heard {
    /// Where its last packet ends, in the track's own time.
    end: Option<u64>,
    loudness: Loudness,
}

fn hear(format: &mut dyn FormatReader, track: &Track, mut decoder: Option<Box<dyn Decoder>>) -> Heard {
    let (mut heard, until) = (Heard { end: None, loudness: Loudness::default() }, Instant::now() + PATIENCE);
    // Ends with the recording, and also where it is broken: what came before was heard.
    while let Ok(packet) = format.next_packet() {
        if Instant::now() > until {
            // Half a recording must not look like a whole one.
            return Heard { end: None, loudness: Loudness::default() };
        }
        if packet.track_id() != track.id {
            continue;
        }
        heard.end = Some(packet.ts().saturating_add(packet.dur()));
        if let Some(decoder) = &mut decoder {
            heard.loudness.add(peak(decoder.as_mut(), &packet));
        }
    }
    heard
}

/// Returns the loudest value of a packet, 0-1; one that cannot be read is silent.
fn peak(decoder: &mut dyn Decoder, packet: &Packet) -> f32 {
    let Ok(sound) = decoder.decode(packet) else { return 0.0 };
    let mut samples = SampleBuffer::<f32>::new(sound.capacity() as u64, *sound.spec());
    samples.copy_interleaved_ref(sound);
    samples.samples().iter().fold(0.0, |loudest, sample| sample.abs().max(loudest))
}

/// The loudest values of equal stretches, whose number stays bounded however long the recording is.
#[derive(Default)]
struct Loudness {
    peaks: Vec<f32>,
    /// Packets of one stretch, as a power of two.
    scale: u32,
    packets: usize,
}

impl Loudness {
    fn add(&mut self, peak: f32) {
        let stretch = self.packets >> self.scale;
        self.packets += 1;
        match self.peaks.get_mut(stretch) {
            Some(loudest) => *loudest = loudest.max(peak),
            None => self.peaks.push(peak),
        }
        if self.peaks.len() > STRETCHES_MAX {
            self.peaks = self.peaks.chunks(2).map(|two| two.iter().copied().fold(0.0, f32::max)).collect();
            self.scale += 1;
        }
    }

    /// Returns what is drawn, 0-127 a value; the loudest one reaches to the top.
    fn waveform(&self) -> Option<Vec<u8>> {
        let loudest = self.peaks.iter().copied().fold(0.0, f32::max);
        let values = self.peaks.len().min(WAVEFORM_VALUES);
        let value = |at: usize| {
            let stretch = self.peaks.get(at * self.peaks.len() / values..(at + 1) * self.peaks.len() / values);
            let peak = stretch.unwrap_or_default().iter().copied().fold(0.0, f32::max);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 127")]
            let drawn = (127.0 * peak / loudest).round() as u8;
            drawn
        };
        (loudest > 0.0).then(|| (0..values).map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Writes a recording of 16-bit samples.
    fn wav(rate: u32, samples: &[i16]) -> Vec<u8> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let length = u32::try_from(bytes.len()).unwrap();
        let mut wav = b"RIFF".to_vec();
        wav.extend((36 + length).to_le_bytes());
        wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wav.extend(rate.to_le_bytes());
        wav.extend((2 * rate).to_le_bytes());
        wav.extend(b"\x02\0\x10\0data");
        wav.extend(length.to_le_bytes());
        wav.extend(bytes);
        wav
    }

    #[test]
    fn a_recording_that_gets_louder_is_drawn_so() {
        let samples: Vec<i16> =
            (0..16_000_i32).map(|n| i16::try_from(if n % 2 == 0 { n } else { -n }).unwrap()).collect();
        let preview = listen(Cursor::new(wav(8_000, &samples)), "audio/wav");
        let Some(Preview::Audio { duration_ms, waveform: Some(waveform) }) = preview else {
            panic!("nothing was heard")
        };
        assert_eq!((duration_ms, waveform.last()), (2_000, Some(&127)));
        assert!(waveform.len() <= WAVEFORM_VALUES && waveform.is_sorted(), "{waveform:?}");
    }

    #[test]
    fn silence_has_a_length_and_nothing_to_draw() {
        let preview = listen(Cursor::new(wav(8_000, &[0; 4_000])), "audio/wav");
        assert!(matches!(preview, Some(Preview::Audio { duration_ms: 500, waveform: None })));
    }

    #[test]
    fn what_is_no_recording_has_no_preview() {
        for bytes in [b"ID3\x04\0\0\0\0\0\0 and then nothing".as_slice(), b"", b"OggS", b"\0\0\0\x20ftypM4A "] {
            assert!(listen(Cursor::new(bytes.to_vec()), "audio/mpeg").is_none());
        }
    }

    #[test]
    fn however_long_it_is_its_loudness_stays_small() {
        let mut loudness = Loudness::default();
        for packet in 0..60_000_u16 {
            loudness.add(f32::from(packet));
        }
        assert!(loudness.peaks.len() <= STRETCHES_MAX);
        let waveform = loudness.waveform().unwrap();
        assert_eq!((waveform.len(), waveform.last()), (WAVEFORM_VALUES, Some(&127)));
        assert!(waveform.is_sorted());
    }
}
