/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/output.h"

static int ask(struct cli *cli, struct json **ret_root, const char **ret_version, struct err *err)
{
	const struct json *server = NULL;
	struct client *client = NULL;
	int r;

	r = cli_client(cli, &client, err);
	if (r == 0)
		r = client_get(client, "/1.0", ret_root, &server, err);
	if (r < 0)
		return r;
	*ret_version = output_word(json_get(server, "environment"), "server_version");
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	AUTO(json_free) struct json *root = NULL;
	const char *version = NULL;
	int r = ask(cli, &root, &version, err);

	if (cli->format == TABLE_JSON) {
		AUTO(json_free) struct json *out = json_new_object();

		json_set_str(out, "client", STASIS_VERSION);
		json_set_str(out, "server", version);
		output_json(out);
	} else {
		(void)printf("client: %s\nserver: %s\n", STASIS_VERSION, version ? version : "not reachable");
	}
	return r;
}

const struct command cmd_version = {
	.name = "version",
	.summary = "print the versions of this program and of the daemon",
	.group = GROUP_OTHER,
	.run = run,
};
