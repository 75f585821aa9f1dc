//! The flow of a conversation: its messages and replies as nodes, how one led to another as edges, and how pleasant it
//! was over time. A pure function of the stored steps ([`Flow::of`]); nodes carry a short preview, not the text.

mod course;
mod topic;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    companion::StepStatus,
    feeling::{Feeling, Label, within},
    summary_card::clipped,
    time::Instant,
};

/// Most characters of a preview.
pub const PREVIEW_MAX: usize = 80;
/// Most steps of one page.
pub const STEPS_MAX: usize = 500;

/// What was added to a step or took its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FlowNodeKind)]
pub enum NodeKind {
    /// What the person wrote.
    #[default]
    User,
    /// What was answered.
    Reply,
    /// The card with the lines of help.
    Card,
    /// The summary card at the end.
    Summary,
}

/// How one node led to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FlowEdgeKind)]
pub enum EdgeKind {
    /// By going on.
    Next,
    /// By saying the same again after a reply that failed.
    Retry,
    /// By going on with a reply that was broken off.
    Resume,
    /// By speaking of something else.
    TopicShift,
}

/// One step of a conversation, as the flow sees it. It has no `Debug`, so that no log line can show it.
#[derive(Clone, Copy)]
pub struct FlowStep<'a> {
    /// Its id.
    pub id: Uuid,
    /// Its place in the conversation.
    pub seq: u32,
    /// When the message came.
    pub at: DateTime<Utc>,
    /// When the reply ended, if it did.
    pub finished_at: Option<DateTime<Utc>>,
    /// What the person wrote.
    pub text: &'a str,
    /// What was answered so far.
    pub reply: &'a str,
    /// The feeling of the message.
    pub feeling: Option<Feeling>,
    /// How much the message worried, from 0 to 3.
    pub risk: u8,
    /// Whether the card with the lines of help was shown.
    pub card_shown: bool,
    /// How far the reply is.
    pub status: StepStatus,
    /// Whether the client asked to go on with a reply that was broken off.
    pub is_resumed: bool,
    /// Tokens of the message and of the reply, if they were counted.
    pub tokens: (Option<u32>, Option<u32>),
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FlowNode)]
pub struct Node {
    /// The step's id and the kind: `<uuid>:user`.
    pub id: String,
    /// The step's place in the conversation.
    pub seq: u32,
    /// What it is.
    pub kind: NodeKind,
    /// When it began.
    pub at: Instant,
    /// The feeling's label.
    pub emotion: Option<Label>,
    /// How pleasant it is, from -1 to 1.
    pub valence: Option<f64>,
    /// How stirring it is, from 0 to 1.
    pub arousal: Option<f64>,
    /// How much it worried, from 0 to 3.
    pub risk: u8,
    /// How far it is.
    pub status: StepStatus,
    /// Its beginning, at most 80 characters on one line.
    pub preview: Preview,
    /// Tokens, if they were counted.
    pub tokens: Option<u32>,
}

/// The beginning of a text. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(as = FlowPreview)]
pub struct Preview(pub String);

impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// An edge from one node to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FlowEdge)]
pub struct Edge {
    /// The node it comes from.
    pub from: String,
    /// The node it leads to.
    pub to: String,
    /// How.
    pub kind: EdgeKind,
    /// How much more pleasant the second is, between two messages of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dv: Option<f64>,
}

/// Steps in a row that are about one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FlowSegment)]
pub struct Segment {
    /// The first step's place.
    pub from_seq: u32,
    /// The last step's place.
    pub to_seq: u32,
    /// The words that come up most; empty when none does.
    pub topic: Preview,
    /// The feeling that its messages were surest of.
    pub label: Option<Label>,
}

/// The whole conversation in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FlowStats)]
pub struct Stats {
    /// Messages of the person.
    pub turns: u32,
    /// How pleasant they were on average; nothing where no feeling was found.
    pub valence_mean: Option<f64>,
    /// How much more pleasant each message was than the one before, by the straight line nearest to all.
    pub valence_slope: Option<f64>,
    /// How often something else was spoken of.
    pub shifts: u32,
}

/// A page of a conversation's flow, with the statistics of all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Flow {
    /// The nodes, in order.
    pub nodes: Vec<Node>,
    /// The edges that lead to these nodes.
    pub edges: Vec<Edge>,
    /// The segments that these nodes belong to.
    pub segments: Vec<Segment>,
    /// Of the whole conversation.
    pub stats: Stats,
    /// The `after` of the next page; nothing on the last one.
    pub next: Option<u32>,
}

impl Flow {
    /// Draws the flow of a conversation: the steps behind place `after`, at most `limit` of them.
    ///
    /// `steps` are all steps in their order, because topics and statistics are those of the whole. `summarised_at` is
    /// when the summary card was made, if it was; its node comes behind the last step.
    pub fn of(steps: &[FlowStep<'_>], summarised_at: Option<DateTime<Utc>>, after: Option<u32>, limit: usize) -> Self {
        let texts: Vec<_> = steps.iter().map(|step| step.text).collect();
        let shifts = course::shifts(steps, &topic::changes(&texts));
        let is_behind = |seq: u32| after.is_none_or(|after| seq > after);
        let mut page = steps.iter().filter(|step| is_behind(step.seq)).map(|step| step.seq);
        let last = page.by_ref().take(limit.clamp(1, STEPS_MAX)).last();
        let next = last.filter(|_| page.next().is_some());
        let is_here = |seq: u32| is_behind(seq) && last.is_some_and(|last| seq <= last);
        let mut drawing = Drawing::default();
        for (index, step) in steps.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| steps.get(before));
            drawing.add(step, before, shifts.get(index).copied().unwrap_or(false), is_here(step.seq));
        }
        if let (Some(at), Some(step), None) = (summarised_at, steps.last(), next) {
            let is_asked_for = is_here(step.seq) || after == Some(step.seq);
            drawing.push(node(step, NodeKind::Summary, at, ""), EdgeKind::Next, None, is_asked_for);
        }
        let mut segments = course::segments(steps, &shifts);
        segments.retain(|segment| steps.iter().any(|step| is_here(step.seq) && segment.holds(step.seq)));
        let stats = course::stats(steps, &shifts);
        Self { nodes: drawing.nodes, edges: drawing.edges, segments, stats, next }
    }
}

impl Segment {
    const fn holds(&self, seq: u32) -> bool {
        self.from_seq <= seq && seq <= self.to_seq
    }
}

/// Nodes and edges while they are drawn; the node before is known although it may be on another page.
#[derive(Default)]
struct Drawing {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    before: Option<String>,
}

impl Drawing {
    fn add(&mut self, step: &FlowStep<'_>, before: Option<&FlowStep<'_>>, is_shift: bool, is_here: bool) {
        let dv = before.and_then(|before| Some(within(step.feeling?.valence - before.feeling?.valence, -2.0, 2.0)));
        let has_failed =
            before.is_some_and(|before| !matches!(before.status, StepStatus::Complete | StepStatus::Blocked));
        let kind = if step.is_resumed {
            EdgeKind::Resume
        } else if has_failed && before.is_some_and(|before| before.text == step.text) {
            EdgeKind::Retry
        } else if is_shift {
            EdgeKind::TopicShift
        } else {
            EdgeKind::Next
        };
        self.push(node(step, NodeKind::User, step.at, step.text), kind, dv, is_here);
        if step.card_shown {
            self.push(node(step, NodeKind::Card, step.at, ""), EdgeKind::Next, None, is_here);
        }
        if !step.reply.is_empty() || !step.status.is_running() {
            let at = step.finished_at.unwrap_or(step.at);
            self.push(node(step, NodeKind::Reply, at, step.reply), EdgeKind::Next, None, is_here);
        }
    }

    fn push(&mut self, node: Node, kind: EdgeKind, dv: Option<f64>, is_here: bool) {
        let before = self.before.replace(node.id.clone());
        if is_here {
            self.edges.extend(before.map(|from| Edge { from, to: node.id.clone(), kind, dv }));
            self.nodes.push(node);
        }
    }
}

fn node(step: &FlowStep<'_>, kind: NodeKind, at: DateTime<Utc>, text: &str) -> Node {
    let name = match kind {
        NodeKind::User => "user",
        NodeKind::Reply => "reply",
        NodeKind::Card => "card",
        NodeKind::Summary => "summary",
    };
    let is_user = kind == NodeKind::User;
    let feeling = step.feeling.filter(|_| is_user);
    Node {
        id: format!("{}:{name}", step.id),
        seq: step.seq,
        kind,
        at: Instant(at),
        emotion: feeling.map(|feeling| feeling.label),
        valence: feeling.map(|feeling| feeling.valence),
        arousal: feeling.map(|feeling| feeling.arousal),
        risk: if is_user { step.risk } else { 0 },
        // What a person wrote is whole, however its reply fared.
        status: if kind == NodeKind::Reply { step.status } else { StepStatus::Complete },
        preview: Preview(clipped(text, PREVIEW_MAX)),
        tokens: match kind {
            NodeKind::User => step.tokens.0,
            NodeKind::Reply => step.tokens.1,
            NodeKind::Card | NodeKind::Summary => None,
        },
    }
}
