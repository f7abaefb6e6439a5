//! Demonstration data: two clients, people who can sign in, and imports that went the usual way.
//!
//! Settings allow it on a loopback address only, because everybody knows the password. Seeding again changes nothing.
//! `DEMO_SIZE` adds as much data as an installation in use has ([`sized`]).

mod inventory;
mod sized;

pub use self::sized::Size;

use anyhow::Context as _;
use chrono::NaiveDate;
use serde_json::json;
use unstale_server::audit::Actor;
use uuid::Uuid;

use crate::{
    api::{
        Platform,
        import_job::{self, Job},
        upload::TemporaryFile,
    },
    coherence::{ClientId, Write},
    store::repositories::{
        clients::{self, ClientData},
        engagements::{self, EngagementData},
        flows::{self, FlowUpdate, NewFlow},
        imports::{self, NewImport},
        memberships,
        users::{self, AccessRequest, NewUser},
    },
    views::{EngagementStatus, FlowPhase, FlowStatus, ImportStatus, Role},
};

const PASSWORD: &str = "demo-password";
const OPERATOR: &str = "operator@platform.test";
/// Rows of each imported file.
const ROWS: u32 = 200;

/// A client of the demonstration.
struct Demo {
    name: &'static str,
    industry: &'static str,
    description: &'static str,
    admin: (&'static str, &'static str),
    analyst: (&'static str, &'static str),
    engagements: [Planned; 3],
    file_name: &'static str,
    file: fn(u32) -> String,
}

/// An engagement of the demonstration: name, what it is about, status, first and last day.
type Planned = (&'static str, &'static str, EngagementStatus, (i32, u32, u32), (i32, u32, u32));

const DEMOS: [Demo; 2] = [
    Demo {
        name: "Acme",
        industry: "Manufacturing",
        description: "Machine builder with plants in three countries. Leaves its Frankfurt data centre by 2027.",
        admin: ("admin@acme.test", "Ada Becker"),
        analyst: ("analyst@acme.test", "Jonas Weber"),
        engagements: [
            (
                "Frankfurt data centre exit",
                "Everything that runs in Frankfurt, in four waves.",
                EngagementStatus::Active,
                (2026, 3, 2),
                (2027, 6, 30),
            ),
            ("SAP to the cloud", "ERP and its satellites.", EngagementStatus::Planned, (2027, 1, 11), (2027, 12, 17)),
            (
                "Plant networks assessment",
                "What stands in the plants and what must stay.",
                EngagementStatus::Completed,
                (2025, 9, 1),
                (2026, 2, 27),
            ),
        ],
        file_name: "frankfurt-azure-migrate.csv",
        file: inventory::azure_migrate,
    },
    Demo {
        name: "Globex",
        industry: "Logistics",
        description: "Freight forwarder. Moves its Amsterdam platform to AWS.",
        admin: ("admin@globex.test", "Mara de Vries"),
        analyst: ("analyst@globex.test", "Luis Ortega"),
        engagements: [
            (
                "Amsterdam to AWS",
                "The booking platform and everything around it.",
                EngagementStatus::Active,
                (2026, 5, 4),
                (2027, 3, 31),
            ),
            (
                "Warehouse systems",
                "Scanners, printers and their servers.",
                EngagementStatus::Planned,
                (2027, 2, 1),
                (2027, 9, 30),
            ),
            (
                "Mainframe discovery",
                "What still runs there, and for whom.",
                EngagementStatus::Active,
                (2026, 8, 17),
                (2026, 12, 18),
            ),
        ],
        file_name: "amsterdam-migration-hub.csv",
        file: inventory::aws_migration_hub,
    },
];

/// Who can sign in, to be shown at the start.
pub fn accounts() -> String {
    let mut text = format!("Demonstration accounts, all with the password {PASSWORD:?}:");
    let mut line = |email: &str, part: &str| text.extend(["\n  ", email, ": ", part]);
    for demo in &DEMOS {
        line(demo.admin.0, &format!("client admin of {}", demo.name));
        line(demo.analyst.0, &format!("analyst of {}", demo.name));
    }
    line(OPERATOR, "platform admin");
    text
}

/// Makes what is missing.
pub async fn seed(platform: &Platform) -> anyhow::Result<()> {
    let ids = match users::credentials(platform.store.read(), OPERATOR).await? {
        None => create(platform).await?,
        Some(_) => existing(platform).await?,
    };
    for (demo, seeded) in DEMOS.iter().zip(ids) {
        let text = (demo.file)(ROWS);
        import(platform, demo.file_name, text, seeded).await.with_context(|| format!("the import of {}", demo.name))?;
    }
    match platform.settings.demo_size {
        Some(size) => sized::seed(platform, size).await,
        None => Ok(()),
    }
}

/// Where a client's import goes.
struct Seeded {
    client: ClientId,
    engagement: Uuid,
    analyst: Uuid,
}

/// Everything but the imports, in one write.
async fn create(platform: &Platform) -> anyhow::Result<Vec<Seeded>> {
    let password_hash = platform.passwords.hash(PASSWORD.to_owned()).await?;
    let now = platform.now();
    let account = |email: &str, name: &str| NewUser {
        email: email.to_owned(),
        name: name.to_owned(),
        password_hash: password_hash.clone(),
    };
    let mut write = platform.store.begin().await?;
    users::create_active(&mut write, &account(OPERATOR, "Olga Sommer"), true, now).await?;
    let mut seeded = Vec::new();
    for demo in &DEMOS {
        let data = ClientData {
            name: demo.name.to_owned(),
            industry: Some(demo.industry.to_owned()),
            description: Some(demo.description.to_owned()),
        };
        let client = ClientId(clients::create(&mut write, &data, now).await?.id);
        let admin = users::create_active(&mut write, &account(demo.admin.0, demo.admin.1), false, now).await?.id;
        let analyst = users::create_active(&mut write, &account(demo.analyst.0, demo.analyst.1), false, now).await?.id;
        memberships::grant(&mut write, admin, client.0, Role::ClientAdmin, now).await?;
        memberships::grant(&mut write, analyst, client.0, Role::Analyst, now).await?;
        let mut engagement = None;
        for planned in &demo.engagements {
            let id = engage(platform, &mut write, client, planned).await?;
            add_flows(platform, &mut write, client, id, analyst, planned).await?;
            engagement.get_or_insert(id);
        }
        let engagement = engagement.expect("every client of the demonstration has engagements");
        users::set_defaults(&mut write, analyst, Some(client.0), Some(engagement), now).await?;
        seeded.push(Seeded { client, engagement, analyst });
    }
    let wanted = AccessRequest {
        requested_client: Some("Acme".to_owned()),
        reason: Some("I join the Frankfurt project in December and review the network part.".to_owned()),
    };
    users::register(&mut write, &account("newcomer@acme.test", "Nina Roth"), &wanted, now).await?;
    write.commit(&platform.cache).await?;
    Ok(seeded)
}

async fn engage(platform: &Platform, write: &mut Write, client: ClientId, planned: &Planned) -> anyhow::Result<Uuid> {
    let (name, description, status, starts_on, ends_on) = *planned;
    let day = |(year, month, day)| NaiveDate::from_ymd_opt(year, month, day);
    let data = EngagementData {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        status,
        starts_on: day(starts_on),
        ends_on: day(ends_on),
    };
    Ok(engagements::create(write, client, &data, platform.now()).await?.id)
}

/// Flows in various states, for those who look around.
async fn add_flows(
    platform: &Platform,
    write: &mut Write,
    client: ClientId,
    engagement: Uuid,
    owner: Uuid,
    planned: &Planned,
) -> anyhow::Result<()> {
    let flows: &[DemoFlow] = match planned.2 {
        EngagementStatus::Active => &[
            ("Storage and backup inventory", FlowStatus::Running, FlowPhase::DataImport, 10),
            ("Network devices", FlowStatus::Draft, FlowPhase::DataImport, 0),
        ],
        EngagementStatus::Planned => &[("First look", FlowStatus::Draft, FlowPhase::DataImport, 0)],
        EngagementStatus::Completed => &[("Plant servers", FlowStatus::Completed, FlowPhase::AssetInventory, 100)],
    };
    create_flows(platform, write, client, engagement, owner, flows).await
}

/// A flow of a demonstration: its name, how far it is, and its progress in percent.
type DemoFlow = (&'static str, FlowStatus, FlowPhase, u8);

async fn create_flows(
    platform: &Platform,
    write: &mut Write,
    client: ClientId,
    engagement: Uuid,
    owner: Uuid,
    planned: &[DemoFlow],
) -> anyhow::Result<()> {
    for (name, status, phase, progress_percent) in planned.iter().copied() {
        let metadata = json!({ "source": "demonstration" });
        let new = NewFlow { engagement_id: engagement, owner_id: owner, name: name.to_owned(), metadata };
        let flow = flows::create(write, client, &new, platform.now()).await?.summary.id;
        let update = FlowUpdate {
            status: Some(status),
            phase: Some(phase),
            progress_percent: Some(progress_percent),
            ..FlowUpdate::default()
        };
        flows::update(write, client, flow, &update, platform.now()).await?;
    }
    Ok(())
}

/// What an earlier start made. Somebody may have deleted some of it since.
async fn existing(platform: &Platform) -> anyhow::Result<Vec<Seeded>> {
    let mut seeded = Vec::new();
    for demo in &DEMOS {
        let Some(analyst) = users::credentials(platform.store.read(), demo.analyst.0).await? else { continue };
        let defaults = users::defaults(platform.store.read(), analyst.user.id).await?;
        if let (Some(client), Some(engagement)) = (defaults.client_account_id, defaults.engagement_id) {
            seeded.push(Seeded { client: ClientId(client), engagement, analyst: analyst.user.id });
        }
    }
    Ok(seeded)
}

/// Imports the client's inventory the usual way, unless an import went well before.
async fn import(platform: &Platform, file_name: &str, text: String, seeded: Seeded) -> anyhow::Result<()> {
    let Seeded { client, engagement, analyst } = seeded;
    let before = imports::list(platform.store.read(), client, Some(engagement)).await?;
    if before.items.iter().any(|import| import.status == ImportStatus::Completed) {
        return Ok(());
    }
    let file = TemporaryFile::at(platform.uploads().join(format!("demo-{}.upload", Uuid::now_v7())));
    tokio::fs::write(file.path(), &text).await?;
    let new = NewImport {
        engagement_id: engagement,
        flow_id: None,
        file_name: file_name.to_owned(),
        size_bytes: text.len() as u64,
        created_by: analyst,
    };
    let mut write = platform.store.begin().await?;
    let import = imports::create(&mut write, client, &new, platform.now()).await?.id;
    write.commit(&platform.cache).await?;
    import_job::run(platform, Job { client, import, file, actor: Actor::default() }).await;
    Ok(())
}
