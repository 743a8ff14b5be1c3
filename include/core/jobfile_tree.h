/*
 * jobfile_tree.h - the YAML of a job file as a small tree that knows its places.
 *
 * Only the plain part of YAML exists here: mappings with scalar keys, sequences and scalars in one
 * document.  Everything clever (anchors, aliases, tags, duplicate keys) is an error.  Scalars stay
 * text: no value is guessed to be a number, a bool or null.
 */
#ifndef CORE_JOBFILE_TREE_H
#define CORE_JOBFILE_TREE_H

#include "base/arena.h"
#include "core/jobfile_text.h"

#define JOBTREE_MAX_DEPTH   8
#define JOBTREE_MAX_ENTRIES 1600 /* the most columns that a table can have */

typedef enum NodeKind { NODE_SCALAR = 0, NODE_LIST, NODE_MAP } NodeKind;

typedef enum ScalarStyle {
    SCALAR_PLAIN = 0,
    SCALAR_QUOTED,  /* single or double quotes */
    SCALAR_LITERAL, /* | */
    SCALAR_FOLDED,  /* > */
} ScalarStyle;

typedef struct JobNode JobNode;
struct JobNode {
    NodeKind kind;
    ScalarStyle style;
    const char *text; /* of a scalar; holds no NUL */
    Place place;      /* of the first byte, which may be a quote, | or > */
    size_t start;     /* the bytes of the scalar in the file, quotes and all */
    size_t end;
    JobNode *key;   /* of a member of a mapping: its key */
    JobNode *first; /* members of a list or mapping, in the order of the file */
    JobNode *next;
    int count;
};

/*
 * Read the whole text.
 *
 * Errors:  ERR_USER with its place.
 * Owner:   the tree lives in `arena`.
 */
bool jobtree_parse(const JobText *text, Arena *arena, JobNode **root, Err *err)
    __attribute__((warn_unused_result));

/* The member of a mapping with this key, or NULL. */
const JobNode *jobtree_member(const JobNode *map, const char *key);

#endif
