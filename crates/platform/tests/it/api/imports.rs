//! Imports from the upload to the asset list, and files that are not what they should be.

use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, World};

const GOOD: &str = "Server name;IP address;OS;Cores\r\nweb-1;10.0.0.1;Debian 12;4\r\nweb-2;10.0.0.2;Debian 12;8\r\n";

/// Text with one NUL in it, and too long to be taken for no text at all.
const NUL: &[u8] = b"Name,Operating system\nweb\0-1,Debian GNU/Linux 12\nweb-2,Debian GNU/Linux 12\n";

#[tokio::test]
async fn a_good_file_becomes_assets_through_the_review_of_its_columns() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    let engagement = analyst.ids().await.engagement;
    let accepted = analyst.upload(&engagement, "C:\\inventory\\servers.csv", GOOD.as_bytes()).await.expect(202);
    assert_ne!(accepted.header("unstale-position"), "");
    let import = analyst.finished(accepted.body["import_id"].as_str().unwrap()).await;
    let told = json!({
        "status": import["status"], "rows_total": import["rows_total"], "rows_done": import["rows_done"],
        "columns": import["columns"], "delimiter": import["delimiter"], "file_name": import["file_name"],
        "size_bytes": import["size_bytes"], "error": import["error"],
    });
    let expected = json!({
        "status": "completed", "rows_total": 2, "rows_done": 2, "columns": 4, "delimiter": ";",
        "file_name": "servers.csv", "size_bytes": GOOD.len(), "error": null,
    });
    assert_eq!(told, expected);
    let flow = analyst.get(&format!("/discovery/flows/{}", import["flow_id"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((&flow["status"], &flow["phase"]), (&json!("awaiting_review"), &json!("field_mapping")));

    let id = import["id"].as_str().unwrap();
    let assets = format!("/assets?import_id={id}");
    let raw = analyst.get(&assets).await.expect(200).body;
    assert_eq!((&raw["total"], &raw["items"][0]["unmapped"]["Server name"]), (&json!(2), &json!("web-1")));
    let mappings = analyst.get(&format!("/field-mappings/{id}")).await.expect(200).body;
    let ids: Vec<&Value> = mappings["items"].as_array().unwrap().iter().map(|mapping| &mapping["id"]).collect();
    let done =
        analyst.post(&format!("/field-mappings/{id}/bulk-approve"), json!({ "mapping_ids": ids })).await.expect(200);
    assert_eq!((&done.body["updated"], &done.body["statistics"]["approved"]), (&json!(4), &json!(4)));
    let mapped = analyst.get(&assets).await.expect(200).body;
    assert_eq!(mapped["items"][0]["name"], "web-1");
    assert_eq!(mapped["items"][1]["attributes"]["ip_address"], "10.0.0.2");
    assert_eq!(mapped["items"][0]["unmapped"], json!({}));
    let found = analyst.get(&format!("{assets}&q=WEB-2")).await.expect(200).body;
    assert_eq!((&found["total"], &found["items"][0]["row_number"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn a_review_that_contradicts_itself_is_refused_with_the_columns() {
    let world = World::new().await;
    let analyst = world.sign_in(ANALYST).await;
    let ids = analyst.ids().await;
    let path = format!("/field-mappings/{}", ids.import);
    let mappings = analyst.get(&path).await.expect(200).body["items"].clone();
    let (first, second) = (mappings[0]["id"].as_str().unwrap(), mappings[1]["id"].as_str().unwrap());
    for mapping in [first, second] {
        let target = json!({ "target_attribute": "hostname" });
        let changed = analyst.patch(&format!("{path}/{mapping}"), target).await.expect(200).body;
        assert_eq!((&changed["confidence"], &changed["status"]), (&json!(1.0), &json!("suggested")));
        assert_eq!(changed["reason"], "chosen by Jonas Weber");
    }
    let both = json!({ "mapping_ids": [first, second] });
    let refused = analyst.post(&format!("{path}/bulk-approve"), both).await.expect(409).body;
    for mapping in [&mappings[0], &mappings[1]] {
        let column = mapping["source_column"].as_str().unwrap();
        assert!(refused["detail"].as_str().unwrap().contains(column), "{refused} does not name {column}");
    }
    analyst.patch(&format!("{path}/{first}"), json!({ "target_attribute": null })).await.expect(200);
    analyst.post(&format!("{path}/bulk-approve"), json!({ "mapping_ids": [first] })).await.expect(409);
    analyst.patch(&format!("{path}/{first}"), json!({ "target_attribute": "nonsense" })).await.expect(422);
}

#[tokio::test]
async fn of_a_bad_file_nothing_is_kept_but_the_reason() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let engagement = admin.ids().await.engagement;
    let assets = admin.get("/assets").await.expect(200).body["total"].clone();
    let files: &[(&str, &[u8], &str, Value)] = &[
        ("empty.csv", b"", "empty_file", Value::Null),
        ("header.csv", b"Name,OS\n", "header_only", Value::Null),
        ("ragged.csv", b"Name,OS\na,b\nc,d,e\n", "ragged_row", json!(3)),
        ("twice.csv", b"Name,Name\na,b\n", "duplicate_header", json!(1)),
        ("quote.csv", b"Name,OS\n\"a,b\n", "unterminated_quote", json!(2)),
        ("formula.csv", b"Name,OS\na,b\n=cmd(),b\n", "formula_injection", json!(3)),
        ("nul.csv", NUL, "nul_byte", json!(2)),
        ("book.xlsx", b"PK\x03\x04\x14\0\0\0[Content_Types].xml", "not_csv_xlsx", Value::Null),
        ("data.json", b"{\"a\":1}", "not_csv_json", Value::Null),
        ("page.html", b"<html></html>", "not_csv_markup", Value::Null),
    ];
    for (name, bytes, code, row) in files {
        let accepted = admin.upload(&engagement, name, bytes).await.expect(202).body;
        let id = accepted["import_id"].as_str().unwrap();
        let import = admin.finished(id).await;
        assert_eq!((&import["status"], &import["error"]["code"]), (&json!("failed"), &json!(code)), "{name}: {import}");
        assert_eq!(&import["error"]["row"], row, "{name}");
        assert!(import["error"]["message"].as_str().unwrap().len() > 20, "{name}: {import}");
        let mappings = admin.get(&format!("/field-mappings/{id}")).await;
        assert!(mappings.status == 409 || mappings.body["items"] == json!([]), "{name}: {mappings:?}");
        assert_eq!(admin.get(&format!("/assets?import_id={id}")).await.body["total"], json!(0), "{name}");
    }
    assert_eq!(admin.get("/assets").await.expect(200).body["total"], assets);
    let left = std::fs::read_dir(world.data_dir.path().join("uploads")).unwrap().count();
    assert_eq!(left, 0, "uploaded files were left behind");
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_while_it_comes_in() {
    let world = World::with(&[("IMPORT_BYTES_MAX", "65536")]).await;
    let admin = world.sign_in(ADMIN).await;
    let engagement = admin.ids().await.engagement;
    let before = admin.get("/imports").await.expect(200).body;
    let refused = admin.upload(&engagement, "big.csv", &vec![b'x'; 70_000]).await.expect(413);
    assert_eq!(refused.body["type"], "/problems/too-large");
    assert_eq!(admin.get("/imports").await.expect(200).body, before);
    assert_eq!(std::fs::read_dir(world.data_dir.path().join("uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let path = format!("/imports?engagement_id={}", admin.ids().await.engagement);
    admin.post(&path, json!({})).await.expect(415);
    let body = "--end\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--end--\r\n";
    let request = axum::http::Request::post(format!("/api/v1{path}"))
        .header("authorization", format!("Bearer {}", admin.token))
        .header("content-type", "multipart/form-data; boundary=end")
        .body(body.into())
        .unwrap();
    let refused = world.send(request).await.expect(422);
    assert_eq!(refused.body["errors"][0]["field"], "file");
}

#[tokio::test]
async fn imports_that_a_crash_interrupted_are_marked_at_the_next_start() {
    let world = World::new().await;
    let admin = world.sign_in(ADMIN).await;
    let ids = admin.ids().await;
    let path = world.data_dir.path().to_owned();
    let url = format!("sqlite://{}", path.join("unstale.db").display());
    let store = platform::store::Store::connect(&url).await.unwrap();
    let cache = unstale::Cache::builder(std::sync::Arc::new(unstale::MemoryStore::default())).build().await.unwrap();
    let mut write = store.begin().await.unwrap();
    let new = platform::store::repositories::imports::NewImport {
        engagement_id: ids.engagement.parse().unwrap(),
        flow_id: None,
        file_name: "interrupted.csv".to_owned(),
        size_bytes: 3,
        created_by: ids.user.parse().unwrap(),
    };
    let client = platform::coherence::ClientId(ids.client.parse().unwrap());
    let now = chrono::Utc::now();
    let import = platform::store::repositories::imports::create(&mut write, client, &new, now).await.unwrap();
    write.commit(&cache).await.unwrap();
    std::fs::write(path.join("uploads/left.upload"), b"a,b").unwrap();

    let settings = platform::settings::Settings::read(
        unstale_server::settings::Sources::default()
            .with_env([("DATA_DIR", path.to_str().unwrap()), ("PASSWORD_COST", "low")]),
    );
    let again = platform::app::App::build(settings.unwrap()).await.unwrap();
    let request = axum::http::Request::get(format!("/api/v1/imports/{}", import.id))
        .header("authorization", format!("Bearer {}", admin.token))
        .body(axum::body::Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(again.router, request).await.unwrap();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let shown: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(shown["status"], "failed", "{shown}");
    assert!(shown["error"]["message"].as_str().unwrap().contains("again"), "{shown}");
    assert!(!path.join("uploads/left.upload").exists());
}
