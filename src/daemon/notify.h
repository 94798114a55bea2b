/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* notify.h - tells systemd how far we are (sd_notify(3): a datagram to $NOTIFY_SOCKET) */

/* "READY=1", "STOPPING=1"; nothing where nobody listens. */
void notify(const char *state);
