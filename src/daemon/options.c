/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"

#define DEFAULT_FILE "/etc/stasis/stasisd.conf"

static void print_help(void)
{
	(void)printf(
		"Usage: stasisd [OPTION…]\n\n"
		"The stasis daemon: runs containers that survive. Runs in the foreground; containers live on when it "
		"ends.\n\n"
		"  --root DIR           keep everything below DIR (DIR/lib, DIR/run, DIR/log), with a cgroup of its "
		"own\n"
		"  --config FILE        settings, one 'key = value' a line (default %s, if it exists)\n"
		"  --boot               start the instances that come up with the host\n"
		"  --reset              kill this configuration's containers and empty its run folder, as a reboot\n"
		"                       would; saved states and disks stay\n"
		"  --list-faults        print the named fault points of the tests\n"
		"  --version, --help\n\nSettings (also in the file, and as STASIS_NAME in the environment):\n",
		DEFAULT_FILE);
	for (size_t i = 0; settings_row(i); i++) {
		const struct setting_row *row = settings_row(i);
		autofree char *flag = xstrdup(row->key);

		for (char *c = flag; *c; c++)
			*c = *c == '_' ? '-' : *c;
		(void)printf("  --%-18s %s (default %s)\n", flag, row->help, *row->fallback ? row->fallback : "\"\"");
	}
}

static void print_faults(void)
{
	for (const char *const *name = fault_names(); *name; name++)
		(void)puts(*name);
}

/* "--state-dir DIR" or "--state-dir=DIR"; moves *i over what it took. */
static int set_flag(struct settings *s, int argc, char **argv, int *i, struct err *err)
{
	const char *arg = argv[*i], *eq = strchr(arg, '=');
	autofree char *key = eq ? xstrndup(arg + 2, (size_t)(eq - arg - 2)) : xstrdup(arg + 2);
	const char *value = eq ? eq + 1 : NULL;
	int r;

	if (!value) {
		if (*i + 1 >= argc)
			return err_set(err, -EINVAL, "'%s' needs a value", arg);
		value = argv[++*i];
	}
	if (str_eq(key, "root"))
		return settings_set_root(s, value, err);
	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;
	r = settings_set(s, key, value, NULL);
	if (r == -ENOENT)
		return err_set(err, -EINVAL, "there is no option '%s' ('stasisd --help' lists them)", arg);
	return r < 0 ? settings_set(s, key, value, err) : 0;
}

/* Later wins, so the file and the environment are read before the other flags. */
static int read_file_and_env(int argc, char **argv, struct settings *s, struct err *err)
{
	const char *file = NULL;
	int r;

	for (int i = 1; i < argc; i++) {
		const char *value = str_after(argv[i], "--config=");

		if (value)
			file = value;
		else if (str_eq(argv[i], "--config") && i + 1 < argc)
			file = argv[++i];
	}
	r = settings_read_file(s, file ? file : DEFAULT_FILE, err);
	if (r < 0 && (file || r != -ENOENT))
		return r;
	return settings_read_env(s, err);
}

static int parse_one(int argc, char **argv, int *i, struct options *o, struct err *err)
{
	const char *arg = argv[*i];

	if (str_eq(arg, "--help") || str_eq(arg, "-h")) {
		print_help();
		return 1;
	}
	if (str_eq(arg, "--version")) {
		(void)puts("stasisd " STASIS_VERSION);
		return 1;
	}
	if (str_eq(arg, "--list-faults")) {
		print_faults();
		return 1;
	}
	if (str_eq(arg, "--boot"))
		o->must_boot = true;
	else if (str_eq(arg, "--reset"))
		o->must_reset = true;
	else if (str_eq(arg, "--config"))
		(*i)++;
	else if (str_after(arg, "--config="))
		return 0;
	else if (str_after(arg, "--"))
		return set_flag(&o->settings, argc, argv, i, err);
	else
		return err_set(err, -EINVAL, "unexpected '%s' ('stasisd --help' tells how it is called)", arg);
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct err *err)
{
	int r;

	settings_init(&ret->settings);
	r = read_file_and_env(argc, argv, &ret->settings, err);
	for (int i = 1; r == 0 && i < argc; i++)
		r = parse_one(argc, argv, &i, ret, err);
	return r;
}
