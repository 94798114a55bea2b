/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cmd.h - the rows of all commands, each defined in cmd-<name>.c and listed in commands.c */
#include "cli/cli.h"

extern const struct command cmd_admin, cmd_check, cmd_checkpoint, cmd_complete, cmd_completion, cmd_config, cmd_console,
	cmd_copy, cmd_create, cmd_delete, cmd_exec, cmd_help, cmd_image, cmd_info, cmd_launch, cmd_list, cmd_logs,
	cmd_operation, cmd_pause, cmd_rename, cmd_restart, cmd_restore, cmd_resume, cmd_snapshot, cmd_start, cmd_stop,
	cmd_version, cmd_volume;
