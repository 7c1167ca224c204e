//! A persistent list, newest item first: a longer list shares the older one as its tail.

use alloc::sync::Arc;

pub(crate) struct List<T> {
    head: Option<Arc<Cell<T>>>,
}

impl<T> List<T> {
    pub(crate) const fn new() -> Self {
        Self { head: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.as_ref().map_or(0, |cell| cell.len)
    }

    pub(crate) fn newest(&self) -> Option<&T> {
        self.head.as_ref().map(|cell| &cell.item)
    }

    /// This list with a newer item.
    pub(crate) fn with(&self, item: T) -> Self {
        let (older, len) = (self.head.clone(), self.len() + 1);
        Self { head: Some(Arc::new(Cell { item, older, len })) }
    }

    /// All items, newest first.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        Iter { next: self.head.as_deref() }
    }

    /// Whether `self` is `older` or `older` with newer items, told by identity and not by value.
    pub(crate) fn extends(&self, older: &Self) -> bool {
        let Some(wanted) = &older.head else { return true };
        let mut link = &self.head;
        while let Some(cell) = link.as_ref().filter(|cell| cell.len >= wanted.len) {
            if Arc::ptr_eq(cell, wanted) {
                return true;
            }
            link = &cell.older;
        }
        false
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { head: self.head.clone() }
    }
}

/// Lets go of the cells one by one: the compiler's own way would recurse once an item.
impl<T> Drop for List<T> {
    fn drop(&mut self) {
        let mut link = self.head.take();
        while let Some(mut cell) = link.and_then(Arc::into_inner) {
            link = cell.older.take();
        }
    }
}

pub(crate) struct Iter<'a, T> {
    next: Option<&'a Cell<T>>,
}

impl<T> Iter<'_, T> {
    /// Whether nothing comes any more.
    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none()
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let cell = self.next?;
        self.next = cell.older.as_deref();
        Some(&cell.item)
    }
}

struct Cell<T> {
    item: T,
    older: Option<Arc<Cell<T>>>,
    len: usize,
}

#[cfg(test)]
mod tests;
