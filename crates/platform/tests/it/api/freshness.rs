//! Every documented write: what others had from the cache before it, they have new with their next read.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::{ADMIN, ANALYST, Answer, OPERATOR, OTHER_ANALYST, Person, World, operations, post};

/// What changes nothing that is read.
const EXEMPT: &[&str] = &[
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
    "POST /api/v1/batch",
    "POST /api/v1/telemetry/vitals",
];

/// Collects which writes were looked at.
#[derive(Default)]
struct Covered(BTreeSet<String>);

impl Covered {
    /// Lets `readers` keep what they read, writes, and sees that each of them reads something else.
    async fn check<W: AsyncFnOnce() -> Answer>(
        &mut self,
        operation: &str,
        readers: &[(&Person, &str)],
        write: W,
    ) -> Answer {
        let (method, path) = operation.split_once(' ').unwrap();
        self.0.insert(format!("{method} /api/v1{path}"));
        let mut before = Vec::new();
        for (reader, path) in readers {
            reader.get(path).await.expect(200);
            let kept = reader.get(path).await;
            assert!(kept.is_hit(), "{operation}: {path} is not kept: {kept:?}");
            before.push(kept);
        }
        let written = write().await;
        assert!(written.status.is_success(), "{operation}: {written:?}");
        for ((reader, path), before) in readers.iter().zip(before) {
            let after = reader.get(path).await;
            assert!(!after.is_hit(), "{operation}: {path} is still what it was");
            assert_ne!(after.body, before.body, "{operation}: {path} shows nothing of it");
            assert!(after.status.is_success() || after.status == StatusCode::NOT_FOUND, "{operation}: {after:?}");
        }
        written
    }
}

#[tokio::test]
async fn after_every_write_the_next_read_of_everybody_concerned_is_new() {
    let world = World::new().await;
    let (admin, analyst) = (world.sign_in(ADMIN).await, world.sign_in(ANALYST).await);
    let operator = world.sign_in(OPERATOR).await;
    let other = world.sign_in(OTHER_ANALYST).await;
    let mut covered = Covered::default();
    users(&mut covered, &world, [&admin, &analyst, &operator, &other]).await;
    flows(&mut covered, &admin, &analyst).await;
    imports(&mut covered, &admin, &analyst).await;
    engagements(&mut covered, &admin, &analyst, &operator).await;
    clients(&mut covered, &admin, &analyst, &operator).await;

    let all: BTreeSet<String> = operations()
        .into_iter()
        .filter(|(method, _)| *method != Method::GET)
        .map(|(method, path)| format!("{method} {path}"))
        .filter(|operation| !EXEMPT.contains(&operation.as_str()))
        .collect();
    assert_eq!(covered.0, all, "every documented write is looked at here");
}

async fn users(covered: &mut Covered, world: &World, [admin, analyst, operator, other]: [&Person; 4]) {
    let client = admin.ids().await.client;
    let user = format!("/users/{}", analyst.id);
    let (defaults, clients) = (format!("{user}/defaults"), format!("{user}/clients"));
    covered
        .check(
            "PUT /users/{user_id}/defaults",
            &[
                (analyst, "/context/me"),
                (analyst, "/context/full"),
                (analyst, "/context/start"),
                (analyst, &defaults),
                (admin, &defaults),
                (admin, "/admin/users"),
                (operator, "/admin/users"),
            ],
            async || admin.put(&defaults, json!({ "client_account_id": client, "engagement_id": null })).await,
        )
        .await;
    let readers =
        [(analyst, "/context/me"), (analyst, clients.as_str()), (admin, "/admin/users"), (operator, "/admin/users")];
    for role in ["client_admin", "analyst"] {
        let roles = format!("{user}/roles");
        covered
            .check("PUT /users/{user_id}/roles", &readers, async || admin.put(&roles, json!({ "role": role })).await)
            .await;
    }
    let access = format!("/users/{}/clients/{client}", other.id);
    let lists = format!("/admin/clients/{client}/users");
    let readers = [
        (other, "/context-establishment/clients"),
        (other, "/context/full"),
        (admin, "/admin/users"),
        (admin, "/auth/active-users"),
        (admin, lists.as_str()),
    ];
    covered
        .check("PUT /users/{user_id}/clients/{client_id}", &readers, async || {
            operator.put(&access, json!({ "role": "analyst" })).await
        })
        .await;
    covered.check("DELETE /users/{user_id}/clients/{client_id}", &readers, async || admin.delete(&access).await).await;

    let waiting = [(admin, "/admin/pending-approvals"), (operator, "/admin/pending-approvals")];
    let wish =
        json!({ "email": "new@acme.test", "name": "New", "password": "long enough", "requested_client": "acme" });
    covered.check("POST /auth/register", &waiting, async || world.send(post("/auth/register", &wish)).await).await;
    let listed = admin.get("/admin/pending-approvals").await.body;
    let id = |place: usize| listed["items"][place]["user_id"].as_str().unwrap().to_owned();
    let readers = [waiting[0], waiting[1], (admin, "/admin/users")];
    covered
        .check("POST /admin/pending-approvals/{user_id}/approve", &readers, async || {
            let access = json!({ "client_account_id": client, "role": "analyst" });
            admin.post(&format!("/admin/pending-approvals/{}/approve", id(0)), access).await
        })
        .await;
    covered
        .check("POST /admin/pending-approvals/{user_id}/reject", &waiting, async || {
            admin.post(&format!("/admin/pending-approvals/{}/reject", id(1)), Value::Null).await
        })
        .await;
    let readers = [(admin, "/admin/users"), (operator, "/admin/users"), (admin, lists.as_str())];
    covered
        .check("POST /admin/users/{user_id}/erase", &readers, async || {
            operator.post(&format!("/admin/users/{}/erase", id(0)), Value::Null).await
        })
        .await;
}

async fn flows(covered: &mut Covered, admin: &Person, analyst: &Person) {
    let ids = admin.ids().await;
    let engagement = format!("/engagements/{}", ids.engagement);
    let of_engagement = format!("{engagement}/flows");
    let lists = [
        (admin, "/discovery/flows"),
        (admin, of_engagement.as_str()),
        (analyst, "/context/me"),
        (analyst, "/context/full"),
    ];
    let counts = [(admin, "/engagements"), (analyst, engagement.as_str()), (admin, "/admin/engagements")];
    let flow = covered
        .check("POST /discovery/flows", &[&lists[..], &counts[..]].concat(), async || {
            analyst.post("/discovery/flows", json!({ "engagement_id": ids.engagement, "name": "New" })).await
        })
        .await
        .id();
    let flow = format!("/discovery/flows/{flow}");
    let (state, metadata) = (format!("{flow}/state"), format!("{flow}/metadata"));
    let details = [(admin, flow.as_str()), (admin, state.as_str()), (admin, metadata.as_str())];
    covered
        .check("PATCH /discovery/flows/{flow_id}", &[&lists[..], &details[..]].concat(), async || {
            let change =
                json!({ "name": "Renamed", "status": "running", "progress_percent": 30, "metadata": { "a": 1 } });
            analyst.patch(&flow, change).await
        })
        .await;
    covered
        .check("DELETE /discovery/flows/{flow_id}", &[&lists[..], &counts[..], &details[..]].concat(), async || {
            analyst.delete(&flow).await
        })
        .await;
}

async fn imports(covered: &mut Covered, admin: &Person, analyst: &Person) {
    let ids = admin.ids().await;
    let engagement = format!("/imports?engagement_id={}", ids.engagement);
    let latest = format!("/engagements/{}/mapping-statistics", ids.engagement);
    let readers = [
        (admin, "/imports"),
        (admin, engagement.as_str()),
        (admin, latest.as_str()),
        (admin, "/discovery/flows"),
        (admin, "/assets"),
        (analyst, "/context/me"),
    ];
    covered
        .check("POST /imports", &readers, async || {
            let accepted = analyst.upload(&ids.engagement, "a.csv", b"Name,OS\nweb-1,Debian\n").await.expect(202);
            let import = analyst.finished(accepted.body["import_id"].as_str().unwrap()).await;
            assert_eq!(import["status"], "completed", "{import}");
            accepted
        })
        .await;
    let mappings = format!("/field-mappings/{}", ids.import);
    let (statistics, assets) = (format!("{mappings}/statistics"), format!("/assets?import_id={}", ids.import));
    let readers = [(admin, mappings.as_str()), (admin, statistics.as_str()), (admin, assets.as_str())];
    let mapped = json!({ "mapping_ids": [ids.mapping] });
    covered
        .check("POST /field-mappings/{import_id}/bulk-approve", &readers, async || {
            analyst.post(&format!("{mappings}/bulk-approve"), mapped.clone()).await
        })
        .await;
    covered
        .check("POST /field-mappings/{import_id}/bulk-reject", &readers, async || {
            analyst.post(&format!("{mappings}/bulk-reject"), mapped.clone()).await
        })
        .await;
    covered
        .check("PATCH /field-mappings/{import_id}/{mapping_id}", &readers[..2], async || {
            analyst.patch(&format!("{mappings}/{}", ids.mapping), json!({ "target_attribute": "description" })).await
        })
        .await;
    let of_mapping = format!("{mappings}/{}", ids.mapping);
    analyst.patch(&of_mapping, json!({ "target_attribute": null })).await.expect(200);
    covered
        .check("POST /field-mappings/{import_id}/bulk-keep", &readers[..2], async || {
            analyst.post(&format!("{mappings}/bulk-keep"), mapped.clone()).await
        })
        .await;
    analyst.patch(&of_mapping, json!({ "target_attribute": "description" })).await.expect(200);
    let quality = format!("/data-cleansing/{}", ids.import);
    let readers = [(admin, quality.as_str()), (admin, assets.as_str()), (admin, "/assets")];
    let corrected = covered
        .check("POST /data-cleansing/{import_id}/corrections", &readers, async || {
            let correction = json!({ "position": 0, "value": ids.value, "replacement": "x" });
            analyst.post(&format!("{quality}/corrections"), json!({ "corrections": [correction] })).await
        })
        .await;
    let undone = json!({ "correction_ids": corrected.body["corrections"] });
    covered
        .check("POST /data-cleansing/{import_id}/corrections/undo", &readers, async || {
            analyst.post(&format!("{quality}/corrections/undo"), undone.clone()).await
        })
        .await;
}

async fn engagements(covered: &mut Covered, admin: &Person, analyst: &Person, operator: &Person) {
    let client = admin.ids().await.client;
    let own = format!("/context-establishment/engagements?client_id={client}");
    let lists = [
        (admin, "/admin/engagements"),
        (operator, "/admin/engagements"),
        (analyst, "/engagements"),
        (analyst, own.as_str()),
        (analyst, "/context/full"),
    ];
    let counts = [
        (admin, "/admin/clients"),
        (operator, "/admin/clients"),
        (analyst, "/context-establishment/clients"),
        (analyst, "/context/me"),
    ];
    let engagement = covered
        .check("POST /admin/engagements", &[&lists[..], &counts[..]].concat(), async || {
            admin.post("/admin/engagements", json!({ "name": "Cloud landing zone" })).await
        })
        .await
        .id();
    let (detail, shown) = (format!("/admin/engagements/{engagement}"), format!("/engagements/{engagement}"));
    let details = [(admin, detail.as_str()), (analyst, shown.as_str())];
    covered
        .check("PUT /admin/engagements/{engagement_id}", &[&lists[..], &details[..]].concat(), async || {
            admin.put(&detail, json!({ "name": "Landing zone", "status": "active" })).await
        })
        .await;
    covered
        .check(
            "DELETE /admin/engagements/{engagement_id}",
            &[&lists[..], &counts[..], &details[..]].concat(),
            async || admin.delete(&detail).await,
        )
        .await;
}

async fn clients(covered: &mut Covered, admin: &Person, analyst: &Person, operator: &Person) {
    let made = covered
        .check("POST /admin/clients", &[(operator, "/admin/clients")], async || {
            operator.post("/admin/clients", json!({ "name": "Initech", "industry": "Software" })).await
        })
        .await
        .id();
    let mine = format!("/admin/clients/{}", admin.ids().await.client);
    let readers = [
        (admin, mine.as_str()),
        (operator, "/admin/clients"),
        (analyst, "/context/me"),
        (analyst, "/context-establishment/clients"),
        (analyst, "/engagements"),
        (admin, "/admin/users"),
    ];
    covered
        .check("PUT /admin/clients/{client_id}", &readers, async || {
            admin.put(&mine, json!({ "name": "Acme Group" })).await
        })
        .await;
    let made = format!("/admin/clients/{made}");
    covered
        .check("DELETE /admin/clients/{client_id}", &[(operator, "/admin/clients"), (operator, &made)], async || {
            operator.delete(&made).await
        })
        .await;
}
