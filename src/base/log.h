/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * log.h - one line per event on standard error
 *
 * On a terminal or in a file: "2026-11-20T22:37:24Z info  text"; under systemd (JOURNAL_STREAM is set) the line begins
 * with the syslog level "<6>" and has no time. Control characters in the text are escaped. Only api, daemon, guard and
 * cli log; the rooms below return errors.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
int log_level_parse(const char *word); /* "error", "warn", "info", "debug", or -EINVAL */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
