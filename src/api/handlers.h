/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* handlers.h - every handler of the table in routes.c, by file; what each does is said in doc/api.md */
#include "api/routes.h"

/* server.c */
route_handler get_root, get_server, get_config_keys, put_shutdown, put_boot;
/* instances.c, create.c, update.c */
route_handler get_instances, get_instance, post_instance, delete_instance;
route_handler post_instances;
route_handler put_instance, patch_instance;
/* state.c */
route_handler get_state, put_state;
/* snapshots.c, checkpoints.c, export.c */
route_handler get_snapshots, post_snapshots, get_snapshot, put_snapshot, post_snapshot, delete_snapshot;
route_handler get_all_checkpoints, get_checkpoints, post_checkpoints, get_checkpoint, delete_checkpoint, get_export;
route_handler post_checkpoint_image;
/* bulk.c */
route_handler put_instances;
/* exec.c, console.c */
route_handler post_exec, post_console, get_console;
/* logs.c */
route_handler get_logs, get_log;
/* check.c */
route_handler get_check;
/* operations.c */
route_handler get_operations, get_operation, get_operation_wait, get_operation_websocket, delete_operation;
/* images.c, aliases.c */
route_handler get_images, post_images, get_image, delete_image;
route_handler get_aliases, get_alias, post_aliases, delete_alias;
/* storage.c */
route_handler get_pools, get_pool, get_volumes, post_volumes, get_volume, delete_volume;
