//! From phrases to a level: what surrounds a phrase decides what it means.
//!
//! A phrase is judged by its own sentence, so that nothing said elsewhere in a long message can talk a crisis away; only
//! what raises a level or names a person is looked for beyond it.

use super::{
    Assessment,
    Concern::{self, AbuseNow, Bereavement, HarmToOthers, OwnIdeation, SomebodyElse},
    Level::{self, Calm, Crisis, Danger, Distress},
    normal::Normal,
    rules::{Class, Hit, RULES},
};

/// Judges a reduced text; also returns how many candidates were looked at, for the bound on the work.
pub(super) fn judge(text: &Normal) -> (Assessment, usize) {
    let (hits, candidates) = RULES.find(text);
    let surroundings = Surroundings::new(text, &hits);
    let judged = meant(&hits).map(|hit| {
        let sentence = text.sentence_of(hit.begin);
        surroundings.of(sentence).judge(hit.class)
    });
    (judged.max().unwrap_or(Assessment::CALM), candidates)
}

/// Leaves the deciding phrases that no idiom touches and no longer phrase covers: `죽고 싶지 않아` is not `죽고 싶`.
fn meant(hits: &[Hit]) -> impl Iterator<Item = &Hit> {
    let masks = Masks::new(hits);
    let mut covered = 0;
    hits.iter().filter(move |hit| {
        if !hit.class.decides() || hit.end <= covered || masks.touch(hit) {
            return false;
        }
        // Distress is the weakest reading and covers nothing.
        if hit.class != Class::Distress {
            covered = hit.end;
        }
        true
    })
}

/// Where idioms and titles stand, by where they begin, with the farthest end of each and those before it.
struct Masks(Vec<(usize, usize)>);

impl Masks {
    fn new(hits: &[Hit]) -> Self {
        let mut farthest = 0;
        let masks = hits.iter().filter(|hit| hit.class == Class::Mask);
        let farthest = masks.map(|mask| {
            farthest = mask.end.max(farthest);
            (mask.begin, farthest)
        });
        Self(farthest.collect())
    }

    fn touch(&self, hit: &Hit) -> bool {
        let before = self.0.partition_point(|(begin, _)| *begin < hit.end);
        before.checked_sub(1).and_then(|last| self.0.get(last)).is_some_and(|(_, end)| *end > hit.begin)
    }
}

/// The classes found in each sentence and in the whole text.
struct Surroundings {
    sentences: Vec<u32>,
    whole: u32,
}

impl Surroundings {
    fn new(text: &Normal, hits: &[Hit]) -> Self {
        let mut sentences = vec![0_u32; text.sentence_count()];
        let laughs = text.laughs().iter().map(|place| (*place, Class::Laugh));
        for (place, class) in hits.iter().map(|hit| (hit.begin, hit.class)).chain(laughs) {
            if let Some(classes) = sentences.get_mut(text.sentence_of(place)) {
                *classes |= class.bit();
            }
        }
        let whole = sentences.iter().fold(0, |all, classes| all | classes);
        Self { sentences, whole }
    }

    fn of(&self, sentence: usize) -> Context {
        let classes = |index: usize| self.sentences.get(index).copied().unwrap_or(0);
        let before = sentence.checked_sub(1).map_or(0, classes);
        Context { here: classes(sentence), before, after: classes(sentence + 1), whole: self.whole }
    }
}

/// What surrounds a phrase, as sets of classes.
#[derive(Clone, Copy)]
struct Context {
    here: u32,
    before: u32,
    after: u32,
    whole: u32,
}

impl Context {
    const fn has(self, class: Class) -> bool {
        self.here & class.bit() != 0
    }

    const fn near(self, class: Class) -> bool {
        (self.here | self.before | self.after) & class.bit() != 0
    }

    const fn anywhere(self, class: Class) -> bool {
        self.whole & class.bit() != 0
    }

    /// Made up or reported, and not about the person.
    const fn is_told(self) -> bool {
        (self.has(Class::Fiction) || self.has(Class::News)) && !self.has(Class::Own)
    }

    /// Over, by the person's own words.
    const fn is_over(self) -> bool {
        self.anywhere(Class::Better) && self.has(Class::Past) && !self.has(Class::Again)
    }

    const fn is_joke(self) -> bool {
        self.has(Class::Laugh) && self.has(Class::Light)
    }

    const fn is_play(self) -> bool {
        self.near(Class::Game) || self.has(Class::Fiction)
    }

    /// Raises a thought to danger where a means or a moment is named.
    const fn pressing(self, class: Class) -> Level {
        let timed = matches!(class, Class::Intent | Class::Attempt) && self.near(Class::Time);
        if self.anywhere(Class::Means) || timed { Danger } else { Crisis }
    }

    fn judge(self, class: Class) -> Assessment {
        let (level, concern) = match class {
            Class::Distress | Class::Term | Class::Denied => (Distress, Concern::None),
            Class::Wished if self.is_wished_long_ago() || self.is_told() => (Distress, Concern::None),
            Class::Ideation | Class::Intent if self.is_told() || self.is_joke() || self.is_over() => {
                (Distress, Concern::None)
            }
            Class::Wished | Class::Ideation | Class::Intent => (self.pressing(class), self.whose()),
            Class::Attempt => self.attempt(),
            Class::Plan => self.plan(),
            Class::Method => (if self.is_told() { Crisis } else { Danger }, OwnIdeation),
            Class::SelfHarm => self.self_harm(),
            Class::Third | Class::Hearsay => self.third(class),
            Class::Bereaved => self.bereaved(),
            Class::HarmWish | Class::HarmPlan => self.harm(class),
            Class::Violence if self.is_abused() => (Danger, AbuseNow),
            Class::Abused if self.is_told() || (self.has(Class::Past) && !self.has(Class::Again)) => {
                (Distress, Concern::None)
            }
            Class::Abused => (Danger, AbuseNow),
            _ => (Calm, Concern::None),
        };
        Assessment::new(level, concern)
    }

    /// The wish may be a part of what somebody else said.
    const fn whose(self) -> Concern {
        let reported = self.has(Class::Third) || self.has(Class::Hearsay);
        if reported && self.has(Class::Subject) && !self.has(Class::Own) { SomebodyElse } else { OwnIdeation }
    }

    /// Things that can kill were bought for something else, as far as this message tells.
    const fn is_harmless(self) -> bool {
        const WISHES: u32 = Class::Ideation.bit() | Class::Intent.bit() | Class::Wished.bit() | Class::Method.bit();
        self.has(Class::Accident) && self.whole & WISHES == 0
    }

    const fn is_wished_long_ago(self) -> bool {
        (self.has(Class::Past) || self.anywhere(Class::Better)) && !self.near(Class::Again)
    }

    const fn attempt(self) -> (Level, Concern) {
        if self.is_over() || self.is_told() {
            (Distress, Concern::None)
        } else if self.has(Class::Subject) && !self.has(Class::Own) {
            (Crisis, SomebodyElse)
        } else {
            (self.pressing(Class::Attempt), OwnIdeation)
        }
    }

    const fn plan(self) -> (Level, Concern) {
        if self.is_told() || self.is_over() || self.is_harmless() || (self.has(Class::Game) && !self.has(Class::Own)) {
            (Distress, Concern::None)
        } else if self.has(Class::Subject) && !self.has(Class::Own) {
            (Danger, SomebodyElse)
        } else {
            (Danger, OwnIdeation)
        }
    }

    const fn self_harm(self) -> (Level, Concern) {
        if self.has(Class::Accident) || self.is_told() || self.is_over() {
            (Distress, Concern::None)
        } else if self.has(Class::Subject) && !self.has(Class::Own) {
            (Crisis, SomebodyElse)
        } else {
            (Crisis, OwnIdeation)
        }
    }

    const fn third(self, class: Class) -> (Level, Concern) {
        let somebody = self.has(Class::Subject) || self.near(Class::Subject) && !self.has(Class::Own);
        if (self.has(Class::Fiction) || self.has(Class::News) || self.has(Class::Game)) && !self.has(Class::Own) {
            (Distress, Concern::None)
        } else if somebody || matches!(class, Class::Hearsay) {
            (self.pressing(class), SomebodyElse)
        } else {
            (self.pressing(class), OwnIdeation)
        }
    }

    const fn bereaved(self) -> (Level, Concern) {
        if self.has(Class::Subject) && !self.has(Class::Fiction) && !self.has(Class::News) {
            (Crisis, Bereavement)
        } else {
            (Distress, Concern::None)
        }
    }

    const fn harm(self, class: Class) -> (Level, Concern) {
        if self.is_play() || self.has(Class::Laugh) || self.has(Class::News) {
            (Distress, Concern::None)
        } else if matches!(class, Class::HarmPlan) || self.anywhere(Class::Means) {
            (Danger, HarmToOthers)
        } else {
            (Crisis, HarmToOthers)
        }
    }

    const fn is_abused(self) -> bool {
        self.has(Class::Abuser)
            && !(self.has(Class::Past) || self.has(Class::Accident) || self.has(Class::Laugh) || self.has(Class::News))
            && !self.is_play()
    }
}
