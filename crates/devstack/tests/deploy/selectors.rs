//! Label selectors, and whether they find what they mean.

use serde_json::Value;

use crate::{
    documents::{WORKLOADS, items, of_kind, text, title},
    kustomize::sets,
};

/// Whether a label selector takes these labels.
pub(crate) fn takes(selector: &Value, labels: &Value) -> bool {
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let exact = exact.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    exact
        && items(selector, "/matchExpressions").iter().all(|expression| {
            assert_eq!(expression["operator"], "In", "this test knows only In");
            items(expression, "/values").contains(&labels[text(expression, "/key")])
        })
}

/// The labels of a workload's pods.
pub(crate) fn pod_labels(workload: &Value) -> &Value {
    &workload["spec"]["template"]["metadata"]["labels"]
}

#[test]
fn every_selector_finds_the_pods_of_its_own_name_and_no_others() {
    for set in sets() {
        let workloads = of_kind(&set.documents, &WORKLOADS);
        for document in &set.documents {
            let selector = match text(document, "/kind") {
                "Deployment" | "StatefulSet" | "PodDisruptionBudget" => document["spec"]["selector"].clone(),
                "Service" => serde_json::json!({ "matchLabels": document["spec"]["selector"] }),
                _ => continue,
            };
            let is_operators = selector.to_string().contains("cnpg.io/");
            let found: Vec<_> = workloads.iter().filter(|workload| takes(&selector, pod_labels(workload))).collect();
            let names: Vec<_> = found.iter().map(|workload| text(workload, "/metadata/name")).collect();
            let name = text(document, "/metadata/name").trim_end_matches("-replicas");
            assert!(is_operators || names == [name], "{}: {} finds {names:?}", set.name, title(document));
        }
        for workload in workloads {
            for spread in items(workload, "/spec/template/spec/topologySpreadConstraints") {
                assert!(takes(&spread["labelSelector"], pod_labels(workload)), "{}: {}", set.name, title(workload));
            }
        }
    }
}

#[test]
fn what_scales_or_protects_a_service_names_a_workload_that_there_is() {
    for set in sets() {
        let workloads = of_kind(&set.documents, &WORKLOADS);
        let mut scaled = Vec::new();
        for scaler in of_kind(&set.documents, &["HorizontalPodAutoscaler", "ScaledObject"]) {
            let target = &scaler["spec"]["scaleTargetRef"];
            let is_target = |workload: &&&Value| {
                workload["kind"] == target["kind"] && workload["metadata"]["name"] == target["name"]
            };
            assert!(workloads.iter().any(|workload| is_target(&workload)), "{}: {}", set.name, title(scaler));
            scaled.push(text(scaler, "/spec/scaleTargetRef/name").to_owned());
        }
        // As applied each service has one scaler; the files still have those that a component takes the place of.
        if set.overlay.is_some() {
            scaled.sort();
            let mut services = crate::SERVICES.map(str::to_owned);
            services.sort();
            assert_eq!(scaled, services, "{}", set.name);
        }
        let protected = of_kind(&set.documents, &["PodDisruptionBudget"]);
        assert_eq!(protected.len(), crate::SERVICES.len(), "{}: a budget for each service", set.name);
    }
}
