//! `openapi.json` is what the program says.

use std::path::Path;

#[test]
fn the_committed_description_is_the_programs_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let own = node::api::openapi_json();
    if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
        std::fs::write(&path, own).expect("openapi.json is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(own.lines()).position(|(a, b)| a != b);
    assert!(
        committed == own,
        "openapi.json is not what the handlers say (first difference in line {:?}); run with UPDATE_OPENAPI=1",
        differs.map(|line| line + 1)
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_refusal() {
    let document: serde_json::Value =
        serde_json::from_str(node::api::openapi_json()).expect("JSON");
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert!(
                operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
                "{method} {path}"
            );
            let refusal = &operation["responses"]["default"]["content"]["application/problem+json"]
                ["schema"]["$ref"];
            assert_eq!(refusal, "#/components/schemas/Problem", "{method} {path}");
        }
    }
    assert!(names.len() > 40, "{names:?}");
}
