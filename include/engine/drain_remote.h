/*
 * drain_remote.h - batches of the drain where source and target are on two servers.
 *
 * The slice's row is locked at the target before the source's rows are read, so that nobody brings
 * an older reading later.  Entries that lie on the source are deleted there only when what the
 * target has made of them is safe on its own disk and on those of the standbys that may take its
 * place (hazards R17); whatever happens before, they are drained once more, which does no harm.
 */
#ifndef ENGINE_DRAIN_REMOTE_H
#define ENGINE_DRAIN_REMOTE_H

#include "engine/drain.h"

extern const DrainCarrier drain_remote;

#endif
