use chrono::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::feeling;

fn step(seq: u32, text: &str) -> FlowStep<'_> {
    let at = Utc.timestamp_opt(1_700_000_000 + i64::from(seq), 0).unwrap();
    FlowStep {
        id: Uuid::from_u128(u128::from(seq)),
        seq,
        at,
        finished_at: None,
        text,
        reply: "그랬군요",
        feeling: feeling::read(text),
        risk: 0,
        card_shown: false,
        status: StepStatus::Complete,
        is_resumed: false,
        tokens: (None, None),
    }
}

fn drawn(steps: &[FlowStep<'_>]) -> Flow {
    Flow::of(steps, None, None, STEPS_MAX)
}

/// How each message of the person was come to.
fn ways(flow: &Flow) -> Vec<EdgeKind> {
    flow.edges.iter().filter(|edge| edge.to.ends_with(":user")).map(|edge| edge.kind).collect()
}

#[test]
fn messages_and_replies_are_nodes_in_a_chain() {
    use NodeKind::{Card, Reply, Summary, User};
    let card = FlowStep { card_shown: true, risk: 2, ..step(2, "사라지고 싶어") };
    let steps = [step(1, "회의에서 혼나서 너무 속상해"), card];
    let flow = Flow::of(&steps, Some(steps[1].at), None, STEPS_MAX);
    let kinds: Vec<_> = flow.nodes.iter().map(|node| node.kind).collect();
    let expected = [User, Reply, User, Card, Reply, Summary];
    assert_eq!(kinds, expected);
    for (edge, pair) in flow.edges.iter().zip(flow.nodes.windows(2)) {
        assert_eq!((&edge.from, &edge.to), (&pair[0].id, &pair[1].id));
    }
    assert_eq!(flow.edges.len(), flow.nodes.len() - 1);
    assert_eq!(flow.nodes[0].emotion, Some(Label::Sadness));
    assert_eq!((flow.nodes[2].risk, flow.nodes[4].risk), (2, 0));
}

#[test]
fn another_subject_is_a_shift_of_topic() {
    let steps = [
        step(1, "회사에서 회의 시간에 팀장님이 자꾸 짜증을 내요"),
        step(2, "회의만 하면 팀장님이 저한테 그래요"),
        step(3, "네"),
        step(4, "고양이 간식을 사러 동물병원에 들렀는데 귀여웠어요"),
        step(5, "고양이 간식을 사니까 너무 기뻐요"),
    ];
    let flow = drawn(&steps);
    assert_eq!(ways(&flow), [EdgeKind::Next, EdgeKind::Next, EdgeKind::TopicShift, EdgeKind::Next]);
    let spans: Vec<_> = flow.segments.iter().map(|segment| (segment.from_seq, segment.to_seq)).collect();
    assert_eq!(spans, [(1, 3), (4, 5)]);
    assert!(flow.segments[0].topic.0.contains("팀장님"), "{}", flow.segments[0].topic.0);
    assert!(flow.segments[1].topic.0.starts_with("고양이 간식"), "{}", flow.segments[1].topic.0);
    assert_eq!((flow.segments[0].label, flow.segments[1].label), (Some(Label::Annoyance), Some(Label::Joy)));
    assert_eq!((flow.stats.turns, flow.stats.shifts), (5, 1));
}

#[test]
fn a_feeling_that_turns_to_the_other_side_is_a_shift_and_a_neighbouring_one_is_not() {
    let steps = [step(1, "회의 때문에 슬퍼"), step(2, "회의가 무서워"), step(3, "회의가 끝나서 기뻐")];
    assert_eq!(ways(&drawn(&steps)), [EdgeKind::Next, EdgeKind::TopicShift]);
}

#[test]
fn the_same_message_after_a_failure_is_a_retry_and_going_on_is_a_resumption() {
    let failed = FlowStep { status: StepStatus::Interrupted, ..step(1, "회의가 힘들어요") };
    let again = FlowStep { status: StepStatus::Stopped, ..step(2, "회의가 힘들어요") };
    let resumed = FlowStep { is_resumed: true, ..step(3, "이어서") };
    assert_eq!(ways(&drawn(&[failed, again, resumed])), [EdgeKind::Retry, EdgeKind::Resume]);
    assert_eq!(ways(&drawn(&[step(1, "회의가 힘들어요"), again])), [EdgeKind::Next], "nothing had failed");
}

#[test]
fn a_line_is_drawn_through_how_pleasant_it_was() {
    let felt = |seq, valence| FlowStep {
        feeling: Some(Feeling::new(Label::Neutral, 0.5, feeling::Source::Model, valence, 0.0)),
        ..step(seq, "")
    };
    let stats = drawn(&[felt(1, -0.6), felt(2, -0.2), felt(3, 0.2)]).stats;
    assert_eq!((stats.valence_mean, stats.valence_slope), (Some(-0.2), Some(0.4)));
    let gap = FlowStep { feeling: None, ..felt(2, 0.0) };
    let flow = drawn(&[felt(1, -0.6), gap, felt(3, 0.2)]);
    assert_eq!(flow.stats.valence_slope, Some(0.4), "a message without a feeling keeps its place");
    assert_eq!(flow.edges.iter().filter_map(|edge| edge.dv).count(), 0);
    assert_eq!(drawn(&[felt(1, -0.6)]).stats.valence_slope, None);
    assert_eq!(drawn(&[]), Flow { stats: Stats::default(), ..Flow::default() });
}

#[test]
fn a_preview_is_short_and_on_one_line_and_debug_shows_none_of_it() {
    let text = "아주 긴\n이야기를 ".repeat(40);
    let flow = drawn(&[step(1, &text)]);
    let preview = &flow.nodes[0].preview.0;
    assert!(preview.chars().count() <= PREVIEW_MAX && !preview.contains('\n') && preview.ends_with('…'));
    assert!(!format!("{flow:?}").contains("이야기"));
}

#[test]
fn a_reply_that_has_not_begun_is_no_node() {
    let running = FlowStep { status: StepStatus::Pending, reply: "", ..step(1, "안녕하세요") };
    assert_eq!(drawn(&[running]).nodes.len(), 1);
    let failed = FlowStep { status: StepStatus::Failed, reply: "", ..step(1, "안녕하세요") };
    assert_eq!(drawn(&[failed]).nodes[1].status, StepStatus::Failed);
}

#[test]
fn a_flow_looks_on_the_wire_as_it_is_described() {
    let json = serde_json::to_value(drawn(&[step(1, "너무 슬퍼"), step(2, "조금 슬퍼")])).unwrap();
    let node = &json["nodes"][0];
    assert_eq!(node["id"], "00000000-0000-0000-0000-000000000001:user");
    assert_eq!(node["at"], "2023-11-14T22:13:21.000Z");
    assert_eq!(
        (&node["kind"], &node["emotion"], &node["preview"]),
        (&"user".into(), &"sadness".into(), &"너무 슬퍼".into())
    );
    assert_eq!(json["edges"][1]["kind"], "next");
    assert_eq!(json["edges"][1]["dv"], 0.0);
    assert_eq!(json["next"], serde_json::Value::Null);
}

proptest! {
    #[test]
    fn pages_together_are_the_whole(
        texts in proptest::collection::vec("(?s).{0,60}|[가-힣 ]{0,60}", 0..20),
        limit in 1_usize..7,
        is_summarised: bool,
    ) {
        let steps: Vec<_> = (1..).zip(&texts).map(|(seq, text)| step(seq, text)).collect();
        let summarised_at = steps.last().filter(|_| is_summarised).map(|step| step.at);
        let whole = Flow::of(&steps, summarised_at, None, STEPS_MAX);
        let (mut nodes, mut edges, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = Flow::of(&steps, summarised_at, after, limit);
            prop_assert_eq!(page.stats, whole.stats);
            nodes.extend(page.nodes);
            edges.extend(page.edges);
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        prop_assert_eq!(nodes, whole.nodes);
        prop_assert_eq!(edges, whole.edges);
        // Segments cover every step once.
        let covered: Vec<u32> = whole.segments.iter().flat_map(|segment| segment.from_seq..=segment.to_seq).collect();
        prop_assert_eq!(covered, steps.iter().map(|step| step.seq).collect::<Vec<_>>());
    }
}
