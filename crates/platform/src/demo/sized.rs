//! As much data as an installation in use has, for measuring: organisations whose people work for many clients.
//!
//! The same size gives the same names and numbers on every machine (ids and times are not the same). A client is made
//! in one write and its inventory is imported the usual way, so a start that was cut short is completed by the next.

use uuid::Uuid;

use super::{DemoFlow, PASSWORD, Seeded, create_flows, import, inventory};
use crate::{
    api::Platform,
    coherence::{ClientId, Write},
    store::repositories::{
        clients::{self, ClientData},
        engagements::{self, EngagementData},
        memberships,
        users::{self, NewUser},
    },
    views::{EngagementStatus, FlowPhase, FlowStatus, Role},
};

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub organisations: u32,
    /// Of each organisation.
    pub clients: u32,
    /// Of each client.
    pub engagements: u32,
    /// Of all clients together.
    pub assets: u32,
}

const ORGANISATIONS: [&str; 4] = ["Meridian", "Halcyon", "Borealis", "Cordillera"];
/// Most clients of an organisation, engagements of a client, and assets in all.
const CLIENTS_MAX: u32 = 100;
const ENGAGEMENTS_MAX: u32 = 500;
const ASSETS_MAX: u32 = 1_000_000;
/// People of each client, beside those who work for all clients of an organisation.
const STAFF: u32 = 6;
const TOWNS: [&str; 20] = [
    "Aarhus",
    "Bilbao",
    "Cologne",
    "Dresden",
    "Esbjerg",
    "Freiburg",
    "Ghent",
    "Hamburg",
    "Innsbruck",
    "Jena",
    "Kassel",
    "Lyon",
    "Malmö",
    "Nantes",
    "Oslo",
    "Porto",
    "Rouen",
    "Salzburg",
    "Turin",
    "Utrecht",
];
const INDUSTRIES: [&str; 5] = ["Logistics", "Manufacturing", "Retail", "Insurance", "Energy"];
const PROGRAMMES: [&str; 5] =
    ["Data centre exit", "SAP to the cloud", "Branch servers", "Network assessment", "Archive clean-up"];
const FLOWS: [DemoFlow; 3] = [
    ("Server inventory", FlowStatus::Running, FlowPhase::DataImport, 20),
    ("Storage and backup", FlowStatus::Draft, FlowPhase::DataImport, 0),
    ("Applications", FlowStatus::Completed, FlowPhase::AssetInventory, 100),
];

impl Size {
    /// Reads `2x20x50x20000`: organisations, clients of each, engagements of each, assets in all.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u32> = text.split('x').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [organisations, clients, engagements, assets] = numbers[..] else { return None };
        let is_in_bounds = (1..=ORGANISATIONS.len()).contains(&(organisations as usize))
            && (1..=CLIENTS_MAX).contains(&clients)
            && (1..=ENGAGEMENTS_MAX).contains(&engagements)
            && assets <= ASSETS_MAX;
        is_in_bounds.then_some(Self { organisations, clients, engagements, assets })
    }

    /// Assets of each client.
    fn assets_each(self) -> u32 {
        self.assets / (self.organisations * self.clients)
    }
}

/// The people who work for all clients of an organisation.
struct People {
    admin: Uuid,
    analyst: Uuid,
    colleague: Uuid,
}

/// Makes what is missing.
pub(super) async fn seed(platform: &Platform, size: Size) -> anyhow::Result<()> {
    let hash = platform.passwords.hash(PASSWORD.to_owned()).await?;
    for name in &ORGANISATIONS[..size.organisations as usize] {
        let domain = format!("{}.test", name.to_lowercase());
        let people = people(platform, &domain, &hash).await?;
        for number in 0..size.clients {
            let Some(seeded) = client(platform, &hash, name, number, size, &people).await? else { continue };
            if size.assets_each() > 0 {
                import(platform, "servers.csv", inventory::azure_migrate(size.assets_each()), seeded).await?;
            }
        }
    }
    Ok(())
}

async fn people(platform: &Platform, domain: &str, hash: &str) -> anyhow::Result<People> {
    let mut ids = Vec::new();
    let mut write = platform.store.begin().await?;
    for (part, name) in [("admin", "Ada Lindqvist"), ("analyst", "Jonas Moreau"), ("colleague", "Mara Nowak")] {
        let email = format!("{part}@{domain}");
        ids.push(match users::credentials(write.read(), &email).await? {
            Some(found) => found.user.id,
            None => account(&mut write, platform, email, name.to_owned(), hash).await?,
        });
    }
    write.commit(&platform.cache).await?;
    Ok(People { admin: ids[0], analyst: ids[1], colleague: ids[2] })
}

async fn account(
    write: &mut Write,
    platform: &Platform,
    email: String,
    name: String,
    hash: &str,
) -> anyhow::Result<Uuid> {
    let user = NewUser { email, name, password_hash: hash.to_owned() };
    Ok(users::create_active(write, &user, false, platform.now()).await?.id)
}

/// One client with all that belongs to it; none if an earlier start made it.
async fn client(
    platform: &Platform,
    hash: &str,
    organisation: &str,
    number: u32,
    size: Size,
    people: &People,
) -> anyhow::Result<Option<Seeded>> {
    let staff = |place: u32| format!("staff{place}.client{number}@{}.test", organisation.to_lowercase());
    if users::credentials(platform.store.read(), &staff(0)).await?.is_some() {
        return Ok(None);
    }
    let now = platform.now();
    let at = number as usize;
    let data = ClientData {
        name: format!("{organisation} {}{}", TOWNS[at % TOWNS.len()], suffix(at / TOWNS.len())),
        industry: Some(INDUSTRIES[at % INDUSTRIES.len()].to_owned()),
        description: None,
    };
    let mut write = platform.store.begin().await?;
    let client = ClientId(clients::create(&mut write, &data, now).await?.id);
    memberships::grant(&mut write, people.admin, client.0, Role::ClientAdmin, now).await?;
    memberships::grant(&mut write, people.analyst, client.0, Role::Analyst, now).await?;
    memberships::grant(&mut write, people.colleague, client.0, Role::ClientAdmin, now).await?;
    for place in 0..STAFF {
        let name = format!("{} staff {}", data.name, place + 1);
        let user = account(&mut write, platform, staff(place), name, hash).await?;
        memberships::grant(&mut write, user, client.0, Role::Analyst, now).await?;
    }
    let mut first = None;
    for place in 0..size.engagements {
        let id = engagement(platform, &mut write, client, people.analyst, place as usize).await?;
        first.get_or_insert(id);
    }
    write.commit(&platform.cache).await?;
    let engagement = first.expect("a size has at least one engagement");
    Ok(Some(Seeded { client, engagement, analyst: people.analyst }))
}

async fn engagement(
    platform: &Platform,
    write: &mut Write,
    client: ClientId,
    owner: Uuid,
    place: usize,
) -> anyhow::Result<Uuid> {
    let data = EngagementData {
        name: format!("{}{}", PROGRAMMES[place % PROGRAMMES.len()], suffix(place / PROGRAMMES.len())),
        description: None,
        status: if place % 4 == 3 { EngagementStatus::Completed } else { EngagementStatus::Active },
        starts_on: None,
        ends_on: None,
    };
    let engagement = engagements::create(write, client, &data, platform.now()).await?.id;
    create_flows(platform, write, client, engagement, owner, &FLOWS).await?;
    Ok(engagement)
}

/// Tells the second round of names from the first.
fn suffix(round: usize) -> String {
    if round == 0 { String::new() } else { format!(" {}", round + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_four_numbers_in_bounds() {
        let size = Size { organisations: 2, clients: 20, engagements: 50, assets: 20_000 };
        assert_eq!((Size::parse("2x20x50x20000"), size.assets_each()), (Some(size), 500));
        for wrong in
            ["", "2x20x50", "2x20x50x1x1", "0x1x1x1", "5x1x1x1", "1x101x1x1", "1x1x0x1", "1x1x1x1000001", "axbxcxd"]
        {
            assert_eq!(Size::parse(wrong), None, "{wrong:?}");
        }
    }
}
