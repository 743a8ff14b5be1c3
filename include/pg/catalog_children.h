/*
 * catalog_children.h - foreign keys that lead to a table, and on from there.
 */
#ifndef PG_CATALOG_CHILDREN_H
#define PG_CATALOG_CHILDREN_H

#include "core/children.h"
#include "pg/catalog_parts.h"

/*
 * Fill facts->children of a purge; of other jobs it stays NULL.
 *
 * Shape:   keys of a child are followed where its rows go with their parents': by ON DELETE CASCADE
 *          always, by NO ACTION and RESTRICT with `children: delete`.
 */
bool catalog_read_children(const CatalogReader *reader, Err *err);

#endif
