//! Layers and images as bytes: a tree becomes a canonical tar and a tar
//! becomes a tree.
//!
//! - values: [`Entry`] (one member), [`Report`] (what was noticed)
//! - tree to tar: `walk` in the order and form that `canonical` defines
//! - tar to tree: `read` (any dialect of tar) and `apply`; what the file
//!   system cannot hold goes to [`Overrides`] beside the tree
//! - whole works: `import`, [`regenerate`], [`assemble`], [`write_layout`]
//!
//! It knows nothing of the store's layout, of references that tags resolve
//! to, or of terminals: it is given directories, readers and writers, and
//! returns data.

mod acl;
mod apply;
mod archive;
mod assemble;
mod canonical;
mod chain;
mod compress;
mod derive;
mod diff;
mod difference;
mod entry;
mod erofs;
pub mod exclude;
mod foreign;
mod frame;
mod import;
mod layer;
mod layout;
mod load;
mod marks;
mod measure;
mod merge;
mod overrides;
mod pack;
mod pax;
mod pipeline;
mod read;
mod report;
mod settle;
mod sparse;
mod sparse_copy;
mod sums;
mod transfer;
mod unmapped;
mod verify;
mod walk;
mod xattrs;

pub use apply::{Applied, ApplyOptions, Diff, LeftOut, LowerLayer, Upon, apply};
pub use archive::write_empty_archive;
pub use assemble::{AssembledImage, LayerBlob, NewImage, assemble};
#[doc(hidden)]
pub use canonical::write_members;
pub use compress::{is_compressed, open_compressed};
pub use derive::{ChildImage, derive};
pub use diff::{Changes, CopiedChanges, MarkSpace, copy_changes, finish_layer};
pub use difference::{
    Compared, Difference, DifferenceSource, DifferenceTarget, LateLinks, ParentView, WrittenCopy,
    amend_difference, copied_difference, import_difference,
};
pub use entry::{Attributes, Entry, EntryKind, Segment, SparseMap, Xattrs, compare_paths};
pub use erofs::{IndexOptions, Indexed, Level, write_index};
pub use exclude::ExcludeSet;
pub use import::{
    ImportOptions, LayerSummary, counted, import_directory, import_tar, ingest_canonical,
    measure_canonical, measure_directory, write_canonical,
};
pub use layer::{LayerTarget, regenerate, rewrite_layer, write_layer};
pub use layout::{
    LayoutContent, LayoutForm, LayoutImage, LayoutIndex, LayoutName, Packing, write_layout,
    write_layout_archive,
};
pub use load::{Below, LayerLimits, LoadOptions, LoadedLayer, convert_layer, load_layer};
pub use measure::measure_layer;
pub use merge::{MergedCopy, copy_merged};
pub use overrides::Overrides;
pub use pack::Compression;
pub use read::TarReader;
pub use report::{Counters, Findings, Report, Topic};
pub use transfer::{Transferred, apply_upon, transfer, write_part};
pub use unmapped::UnmappedOwners;
pub use verify::{ExpectedLayer, VerifyOptions, verify_layer};
pub use walk::{Part, Sink, TreeSource, WalkOptions, Walked, write_tree};
