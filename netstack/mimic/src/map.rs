//! A persistent map from key identities: every change makes a new map that shares the rest.
//!
//! An AVL tree whose nodes are counted references. A clone is one count, a change copies the path
//! from the root to the node (≤ 1.45 · log₂ n nodes).

use alloc::sync::Arc;
use core::cmp::Ordering;

use crate::key::Id;

pub(crate) struct Map<V> {
    root: Link<V>,
}

impl<V: Clone> Map<V> {
    pub(crate) const fn new() -> Self {
        Self { root: None }
    }

    pub(crate) fn len(&self) -> usize {
        size(&self.root)
    }

    /// The value of `id`, in log n steps and without allocation.
    pub(crate) fn get(&self, id: Id) -> Option<&V> {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match id.cmp(&node.id) {
                Ordering::Less => &node.left,
                Ordering::Equal => return Some(&node.value),
                Ordering::Greater => &node.right,
            };
        }
        None
    }

    /// This map with `value` for `id`, in place of the one that was there.
    pub(crate) fn insert(&self, id: Id, value: V) -> Self {
        Self { root: Some(insert(&self.root, id, value)) }
    }

    /// This map without `id`.
    pub(crate) fn remove(&self, id: Id) -> Self {
        if self.get(id).is_none() {
            return self.clone();
        }
        Self { root: remove(&self.root, id) }
    }

    /// All values, by ascending identity.
    pub(crate) fn values(&self) -> Values<'_, V> {
        let mut values = Values { path: alloc::vec::Vec::new() };
        values.descend(&self.root);
        values
    }
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

/// Walks a map in order.
pub(crate) struct Values<'a, V> {
    /// Nodes whose own value and right side are still to come.
    path: alloc::vec::Vec<&'a Node<V>>,
}

impl<'a, V> Values<'a, V> {
    fn descend(&mut self, mut link: &'a Link<V>) {
        while let Some(node) = link {
            self.path.push(node);
            link = &node.left;
        }
    }
}

impl<'a, V> Iterator for Values<'a, V> {
    type Item = &'a V;

    fn next(&mut self) -> Option<&'a V> {
        let node = self.path.pop()?;
        self.descend(&node.right);
        Some(&node.value)
    }
}

type Link<V> = Option<Arc<Node<V>>>;

struct Node<V> {
    id: Id,
    value: V,
    left: Link<V>,
    right: Link<V>,
    /// Nodes on the longest way down, this one included.
    height: u8,
    /// Nodes in this tree.
    size: usize,
}

fn height<V>(link: &Link<V>) -> u8 {
    link.as_ref().map_or(0, |node| node.height)
}

fn size<V>(link: &Link<V>) -> usize {
    link.as_ref().map_or(0, |node| node.size)
}

fn insert<V: Clone>(link: &Link<V>, id: Id, value: V) -> Arc<Node<V>> {
    let Some(node) = link else {
        return join(id, value, None, None);
    };
    match id.cmp(&node.id) {
        Ordering::Less => {
            let left = insert(&node.left, id, value);
            balance(node.id, node.value.clone(), Some(left), node.right.clone())
        }
        Ordering::Equal => join(id, value, node.left.clone(), node.right.clone()),
        Ordering::Greater => {
            let right = insert(&node.right, id, value);
            balance(node.id, node.value.clone(), node.left.clone(), Some(right))
        }
    }
}

fn remove<V: Clone>(link: &Link<V>, id: Id) -> Link<V> {
    let node = link.as_ref()?;
    match id.cmp(&node.id) {
        Ordering::Less => {
            let left = remove(&node.left, id);
            Some(balance(node.id, node.value.clone(), left, node.right.clone()))
        }
        Ordering::Equal => match first(&node.right) {
            None => node.left.clone(),
            Some(next) => {
                let right = remove(&node.right, next.id);
                Some(balance(next.id, next.value.clone(), node.left.clone(), right))
            }
        },
        Ordering::Greater => {
            let right = remove(&node.right, id);
            Some(balance(node.id, node.value.clone(), node.left.clone(), right))
        }
    }
}

fn first<V>(link: &Link<V>) -> Option<&Arc<Node<V>>> {
    let mut node = link.as_ref()?;
    while let Some(left) = &node.left {
        node = left;
    }
    Some(node)
}

/// A node over two trees whose heights differ by at most one.
fn join<V>(id: Id, value: V, left: Link<V>, right: Link<V>) -> Arc<Node<V>> {
    let tall = height(&left).max(height(&right));
    let size = size(&left) + size(&right) + 1;
    Arc::new(Node { id, value, left, right, height: tall + 1, size })
}

/// A node over two trees whose heights differ by at most two, which is what one change leaves.
fn balance<V: Clone>(id: Id, value: V, left: Link<V>, right: Link<V>) -> Arc<Node<V>> {
    let (left_height, right_height) = (height(&left), height(&right));
    if let Some(pivot) = left.as_ref().filter(|_| left_height > right_height + 1) {
        if height(&pivot.left) >= height(&pivot.right) {
            let lower = join(id, value, pivot.right.clone(), right);
            return join(pivot.id, pivot.value.clone(), pivot.left.clone(), Some(lower));
        }
        if let Some(top) = &pivot.right {
            let outer = join(pivot.id, pivot.value.clone(), pivot.left.clone(), top.left.clone());
            let inner = join(id, value, top.right.clone(), right);
            return join(top.id, top.value.clone(), Some(outer), Some(inner));
        }
    }
    if let Some(pivot) = right.as_ref().filter(|_| right_height > left_height + 1) {
        if height(&pivot.right) >= height(&pivot.left) {
            let lower = join(id, value, left, pivot.left.clone());
            return join(pivot.id, pivot.value.clone(), Some(lower), pivot.right.clone());
        }
        if let Some(top) = &pivot.left {
            let inner = join(id, value, left, top.left.clone());
            let outer = join(pivot.id, pivot.value.clone(), top.right.clone(), pivot.right.clone());
            return join(top.id, top.value.clone(), Some(inner), Some(outer));
        }
    }
    join(id, value, left, right)
}

#[cfg(test)]
mod tests;
