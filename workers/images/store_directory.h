/* store_directory.h - the parts of the directory store: writing (store_directory.c), listing (store_directory_list.c).
 */
#ifndef IMAGES_STORE_DIRECTORY_H
#define IMAGES_STORE_DIRECTORY_H

#include "store_internal.h"

/* Opens `path` below `root` with openat2(): no link is followed, nothing leaves the root, whatever was planted there.
 * -1 and errno as open(). */
int im_directory_openat(int root, const char *path, int flags);

/* One page of the area below root, see im_store_list(). */
NM_MUST_USE enum im_reason im_directory_list(int root, enum im_area area, struct im_page *page, struct nm_error *err);

#endif
