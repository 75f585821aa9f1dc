//! A card by rules: each part is what the person said at the step that asks for it.

use super::{
    CardRisk, CardStep, DISCLAIMER, FEELINGS_MAX, FeelingShare, QUOTE_MAX, QUOTES_MAX, SENTENCE_MAX, Source,
    SummaryCard, TITLE_MAX, clipped,
};
use crate::{
    arc::{Held, Step},
    feeling::{self, Label, within},
    listener::is_speakable,
    locale::{Locale, Text},
    safety::Level,
};

const UNTITLED: Text = Text::new("나눈 이야기", "A conversation");
/// Steps to take when the person named none: small, harmless, and nobody's treatment.
const REST: Text =
    Text::new("오늘은 십 분만 아무것도 하지 않고 쉬어 보기", "Rest for ten minutes today and do nothing");
const BREATHE: Text =
    Text::new("불안이 올라올 때 숨을 길게 세 번 내쉬어 보기", "When it rises, breathe out slowly three times");
const WRITE: Text =
    Text::new("하고 싶은 말을 보내지 않을 편지로 적어 보기", "Write what I want to say in a letter I will not send");
const KINDNESS: Text =
    Text::new("친구에게 해 줄 말을 나에게 한 줄 적어 보기", "Write one line to myself as I would to a friend");
const CONTACT: Text = Text::new("편한 사람 한 명에게 안부를 전해 보기", "Say hello to one person I am at ease with");
const SAVOUR: Text = Text::new("오늘 좋았던 순간을 한 줄로 적어 두기", "Keep today's good moment in one line");
const SAFETY: Text =
    Text::new("믿을 수 있는 사람에게 지금 마음을 이야기하기", "Tell somebody I trust how I feel right now");

pub(super) fn card(steps: &[CardStep<'_>], locale: Locale) -> SummaryCard {
    let feelings = shares(steps);
    let strongest = feelings.first().map(|feeling| feeling.label);
    let risk = CardRisk {
        max_level: steps.iter().map(|step| step.level.as_u8()).max().unwrap_or(0),
        card_shown: steps.iter().any(|step| step.card_shown),
    };
    let trigger = told_at(steps, &[Step::Situation], |held| held.situation);
    SummaryCard {
        title: title(strongest, trigger.as_deref(), locale),
        insight: told_at(steps, &[Step::Reframing, Step::Summary, Step::Standard, Step::Thought], |held| held.thought),
        small_step: small_step(steps, strongest, risk, locale),
        quotes: quotes(steps),
        trajectory: steps.iter().filter_map(|step| Some((step.seq, step.feeling?.valence))).collect(),
        disclaimer: DISCLAIMER.in_locale(locale).to_owned(),
        source: Source::Rules,
        trigger,
        feelings,
        risk,
    }
}

/// Returns each feeling's part, the largest first. A neutral message counts only when there is nothing else.
fn shares(steps: &[CardStep<'_>]) -> Vec<FeelingShare> {
    let all = || steps.iter().filter_map(|step| step.feeling);
    let is_neutral = all().all(|feeling| feeling.label == Label::Neutral);
    let counted = || all().filter(|feeling| is_neutral || feeling.label != Label::Neutral);
    let total: f64 = counted().map(|feeling| feeling.confidence).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let weight = |label: Label| -> f64 {
        counted().filter(|feeling| feeling.label == label).map(|feeling| feeling.confidence).sum()
    };
    let mut weights: Vec<_> = Label::ALL.into_iter().map(|label| (label, weight(label))).collect();
    weights.retain(|(_, weight)| *weight > 0.0);
    weights.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let share = |(label, weight): (Label, f64)| FeelingShare { label, share: within(weight / total, 0.0, 1.0) };
    weights.into_iter().take(FEELINGS_MAX).map(share).collect()
}

/// Returns the messages that may be repeated on a card.
fn repeatable<'a, 'b>(steps: &'b [CardStep<'a>]) -> impl DoubleEndedIterator<Item = &'b CardStep<'a>> {
    steps.iter().filter(|step| step.level < Level::Crisis)
}

/// Returns what was said at the first of `at` that was reached, the later word of it; or the first message that holds it.
fn told_at(steps: &[CardStep<'_>], at: &[Step], is_held: fn(Held) -> bool) -> Option<String> {
    let answered = |wanted: &Step| {
        repeatable(steps).rev().find(|step| step.step == Some(*wanted) && Held::of(step.text).substance)
    };
    let found = at.iter().find_map(answered).or_else(|| repeatable(steps).find(|step| is_held(Held::of(step.text))));
    found.and_then(|step| sentence_of(step.text, SENTENCE_MAX))
}

/// Returns the sentence of a message that says most, on one line.
fn sentence_of(text: &str, max: usize) -> Option<String> {
    let sentences = text.split(['.', '!', '?', '…', '\n', '\r', '。']).map(str::trim);
    let sentences = sentences.filter(|sentence| is_speakable(sentence));
    let longest = sentences.max_by_key(|sentence| sentence.chars().count().min(max))?;
    Some(clipped(longest, max)).filter(|sentence| !sentence.is_empty())
}

fn title(strongest: Option<Label>, trigger: Option<&str>, locale: Locale) -> String {
    let feeling = strongest.map(|label| label.name(locale));
    match (feeling, trigger) {
        (Some(feeling), Some(trigger)) => {
            let rest = TITLE_MAX.saturating_sub(feeling.chars().count() + 3);
            format!("{feeling} · {}", clipped(trigger, rest))
        }
        (Some(text), None) | (None, Some(text)) => clipped(text, TITLE_MAX),
        (None, None) => UNTITLED.in_locale(locale).to_owned(),
    }
}

/// Returns the wish the person named, or a prepared step that suits the strongest feeling.
fn small_step(steps: &[CardStep<'_>], strongest: Option<Label>, risk: CardRisk, locale: Locale) -> Option<String> {
    if risk.max_level >= Level::Crisis.as_u8() {
        return Some(SAFETY.in_locale(locale).to_owned());
    }
    let prepared = match strongest? {
        Label::Anger | Label::Annoyance | Label::Disapproval | Label::Disgust => WRITE,
        Label::Fear | Label::Nervousness | Label::Confusion => BREATHE,
        Label::Remorse | Label::Embarrassment => KINDNESS,
        Label::Sadness | Label::Disappointment => REST,
        Label::Grief | Label::Desire => CONTACT,
        _ => SAVOUR,
    };
    let wish = repeatable(steps).rev().find(|step| step.step == Some(Step::Wish) && Held::of(step.text).wish);
    wish.and_then(|step| sentence_of(step.text, SENTENCE_MAX)).or_else(|| Some(prepared.in_locale(locale).to_owned()))
}

/// Returns the sentences in which the most was felt, in the order in which they were said.
fn quotes(steps: &[CardStep<'_>]) -> Vec<String> {
    let mut felt: Vec<(u32, f64, &str)> = repeatable(steps)
        .flat_map(|step| sentences(step.text).map(|sentence| (step.seq, sentence)))
        .filter(|(_, sentence)| is_speakable(sentence) && sentence.chars().count() <= QUOTE_MAX)
        .filter_map(|(seq, sentence)| {
            let feeling = feeling::read(sentence)?;
            Some((seq, feeling.valence.abs() * feeling.confidence, sentence))
        })
        .collect();
    felt.sort_by(|(_, a, _), (_, b, _)| b.total_cmp(a));
    felt.dedup_by_key(|(_, _, sentence)| *sentence);
    felt.truncate(QUOTES_MAX);
    felt.sort_by_key(|(seq, _, _)| *seq);
    felt.into_iter().map(|(_, _, sentence)| sentence.to_owned()).collect()
}

/// Splits a text into sentences, word by word as they stand.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '!', '?', '…', '\n', '\r', '。']).map(str::trim).filter(|sentence| !sentence.is_empty())
}
