/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * memory.h - the memory of a frozen instance becomes CRIU images
 *
 * One room behind one function, so that another way of capturing memory can take its place.
 */
#include <stdbool.h>

#include "base/auto.h"
#include "base/err.h"
#include "engine/hook.h"
#include "engine/instance.h"

struct memory {
	char *images;	   /* where the images will be */
	char *work;	   /* dump.log, stats-dump */
	bool is_in_memory; /* images lie on the memory file system and are still to be copied to the disk */
	bool tcp_established, file_locks; /* kept; as the configuration says unless changed before the dump */
};

/*
 * memory_prepare() - decide where to dump to and make the folders
 *
 * On disk a dump freezes the container several times as long as in memory (0.3 against 1.5 GB/s measured), so it goes
 * to memory where that leaves room. @on_disk: where else. -ENOSPC when neither has the room.
 */
int memory_prepare(struct memory *m, const struct instance *in, const char *on_disk, uint64_t bytes, struct err *err);
void memory_done(struct memory *m); /* removes what lies in memory, and the work folder */
AUTO_DEFINE_IN(struct memory, memory_done)

/* Dumps; the hook is asked when the images are complete and before anything is killed or resumed. On failure the error
 * is CRIU's log in one sentence, and the log is kept. */
int memory_dump(struct memory *m, struct instance *in, const struct hook *hook, const char *done, bool leave_running,
		struct err *err);
