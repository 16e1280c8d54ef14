//! The code of a process: which module a place is in, and how to get from there to the caller.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use gimli::UnwindContext;
use rustc_hash::FxHashMap;

use super::machine::Machine;
use super::module::Module;
use super::row::Row;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::maps::{Mapping, Mappings};
use crate::collector::stacks::memory::Memory;
use crate::collector::stacks::pages::Pages;

/// The most modules of a process that are read.
const MODULES_MAX: usize = 2_000;
/// The most places of which the rows are kept.
const ROWS_MAX: usize = 50_000;

/// The code of a process, as far as its threads are in it.
pub(super) struct Code<'a, M> {
    pub(super) root: &'a Path,
    pub(super) mappings: &'a Mappings,
    pub(super) memory: Pages<'a, M>,
    pub(super) machine: Machine,
    pub(super) limit: Limit,
    /// By the start of the mapping.
    modules: BTreeMap<u64, Rc<Module>>,
    rows: FxHashMap<u64, Option<Rc<Row>>>,
    context: UnwindContext<usize>,
}

impl<'a, M: Memory> Code<'a, M> {
    pub(super) fn new(
        root: &'a Path,
        mappings: &'a Mappings,
        memory: &'a M,
        limit: Limit,
    ) -> Code<'a, M> {
        Code {
            root,
            mappings,
            memory: Pages::new(memory),
            machine: Machine::native(),
            limit,
            modules: BTreeMap::new(),
            rows: FxHashMap::default(),
            context: UnwindContext::new(),
        }
    }

    /// The mapping of a place, if it is code.
    pub(super) fn mapping(&self, place: u64) -> Option<&'a Mapping> {
        let found = self.mappings.find(place);
        found.filter(|mapping| mapping.executable)
    }

    /// The module of a place. `None` if it is not code.
    pub(super) fn module(&mut self, place: u64) -> Option<Rc<Module>> {
        let mapping = self.mapping(place)?;
        if let Some(known) = self.modules.get(&mapping.start) {
            return Some(known.clone());
        }
        if self.modules.len() >= MODULES_MAX {
            return None;
        }
        let module = Module::of(self.root, self.mappings, mapping, &self.memory, self.limit);
        let module = Rc::new(module);
        self.modules.insert(mapping.start, module.clone());
        Some(module)
    }

    /// How the caller is found from a place. `None` if no table tells.
    pub(super) fn row(&mut self, place: u64) -> Option<Rc<Row>> {
        if let Some(known) = self.rows.get(&place) {
            return known.clone();
        }
        let module = self.module(place)?;
        let entry = module.entry(&self.memory, place);
        let (memory, machine) = (&self.memory, self.machine);
        let row = entry
            .and_then(|entry| Row::read(memory, machine, entry, place, &mut self.context))
            .map(Rc::new);
        if self.rows.len() < ROWS_MAX {
            self.rows.insert(place, row.clone());
        }
        row
    }
}
