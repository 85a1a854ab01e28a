//! A state as etcd's database, streamed: one pass over the records for their sizes, a second for their
//! bytes. Nothing but a page of each level is held.

use std::io::{self, Write};

use bolt::{PAGE_SIZE, Plan, Planner, Writer};
use state::{Auth, ClusterVersion, Image};

use super::key::{Message, RevisionKey};
use super::meta::Meta;
use super::{Member, Pair, STORAGE_VERSION, alarm, auth, bucket, lease, member};

/// A pinned state, and the database it makes.
pub struct Export {
    image: Image,
    member: Member,
    plan: Plan,
}

impl Export {
    /// Looks at every record once. `member` is the one that there is, if the image lists none.
    ///
    /// # Errors
    /// If something in it is larger than etcd's database could hold.
    pub fn new(image: Image, member: Member) -> io::Result<Self> {
        let mut planner = Planner::new(PAGE_SIZE);
        visit(&image, &member, &mut planner)?;
        let plan = planner.finish()?;
        Ok(Self { image, member, plan })
    }

    /// The size of the database.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.plan.bytes()
    }

    /// The version of the database: that which a downgrade under way goes to, else [`STORAGE_VERSION`].
    #[must_use]
    pub fn version(&self) -> ClusterVersion {
        version(&self.image)
    }

    /// Writes the database into `sink`, page by page, and gives that back.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn write<W: Write>(&self, sink: W) -> io::Result<W> {
        let mut writer = Writer::new(self.plan, sink)?;
        visit(&self.image, &self.member, &mut writer)?;
        writer.finish()
    }
}

fn version(image: &Image) -> ClusterVersion {
    image.cluster().downgrade().unwrap_or(STORAGE_VERSION)
}

/// What both passes take.
trait Pass {
    fn bucket(&mut self, name: &[u8]) -> io::Result<()>;
    fn entry(&mut self, key: &[u8], value: &[&[u8]]) -> io::Result<()>;

    fn pair(&mut self, (key, value): &Pair) -> io::Result<()> {
        self.entry(key, &[value])
    }

    fn pairs(&mut self, name: &[u8], pairs: impl IntoIterator<Item = Pair>) -> io::Result<()> {
        self.bucket(name)?;
        pairs.into_iter().try_for_each(|pair| self.pair(&pair))
    }
}

impl Pass for Planner {
    fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        Self::bucket(self, name)
    }

    fn entry(&mut self, key: &[u8], value: &[&[u8]]) -> io::Result<()> {
        Self::entry(self, key.len(), value.iter().map(|part| part.len()).sum())
    }
}

impl<W: Write> Pass for Writer<W> {
    fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        Self::bucket(self, name)
    }

    fn entry(&mut self, key: &[u8], value: &[&[u8]]) -> io::Result<()> {
        Self::entry(self, key, value)
    }
}

/// Shows `pass` every bucket and every entry, in their order.
fn visit(image: &Image, member: &Member, pass: &mut impl Pass) -> io::Result<()> {
    let mut alarms: Vec<Pair> =
        image.alarms().iter().map(|on| (alarm::encode(on), Vec::new())).collect();
    alarms.sort_unstable();
    pass.pairs(bucket::ALARM, alarms)?;
    let untouched = Auth::default();
    visit_auth(image.auth().unwrap_or(&untouched), pass)?;
    pass.pairs(bucket::CLUSTER, member::encode_cluster(image.cluster()))?;
    visit_keys(image, pass)?;
    let leases = lease::in_order(image.leases());
    pass.pairs(bucket::LEASE, leases.map(|(id, ttl)| lease::encode(id, ttl)))?;
    let members = member::members(image.cluster(), member);
    pass.pairs(bucket::MEMBERS, member::encode_members(&members))?;
    pass.pairs(bucket::MEMBERS_REMOVED, member::encode_removed(image.cluster()))?;
    let compacted = image.view().compact_revision();
    // Always carried out: what compaction has yet to remove is left out.
    let (position, epoch) = (image.position(), image.epoch());
    let meta = Meta { position, epoch, compacted, scheduled: compacted };
    pass.pairs(bucket::META, meta.encode(&members, version(image)))
}

fn visit_auth(auth: &Auth, pass: &mut impl Pass) -> io::Result<()> {
    pass.pairs(bucket::AUTH, auth::encode(auth))?;
    let roles = auth.roles().map(|(name, permissions)| auth::encode_role(name, permissions));
    pass.pairs(bucket::AUTH_ROLES, roles)?;
    let users = auth.users().map(|(name, user)| auth::encode_user(name, user));
    pass.pairs(bucket::AUTH_USERS, users)
}

fn visit_keys(image: &Image, pass: &mut impl Pass) -> io::Result<()> {
    pass.bucket(bucket::KEY)?;
    let mut message = Message::default();
    for kv in image.view().records() {
        message.set(&kv);
        let key = RevisionKey::of(kv.at(), kv.tombstone);
        pass.entry(key.as_slice(), &message.parts(&kv))?;
    }
    Ok(())
}
