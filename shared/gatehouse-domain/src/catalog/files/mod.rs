//! Catalog files: importing the entities that they describe, forgetting them, and the services that a component's file
//! speaks for.

mod describe;
mod forget;
mod import;
mod save;

pub(super) use self::describe::{DescribedAnew, describe_new, keep_described};
pub use self::{
    describe::SeenComponent,
    forget::{ForgetEntityError, Forgotten, forget},
    import::{
        EntityFile, EntryOutcome, FileEntry, ImportFileError, ImportedEntry, WrittenEntry, import_entities,
    },
    save::{EntityEdit, FindForImport, FoundForImport, LeftService, SaveEntities, ServiceEdit},
};
