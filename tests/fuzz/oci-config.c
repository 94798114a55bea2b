/* SPDX-License-Identifier: Apache-2.0 */
// links: src/base/*.c src/image/*.c
/* An image's configuration comes from strangers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/oci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(oci_config_free) struct oci_config *config = NULL;
	struct err err = ERR_INIT;
	char *text = strndup((const char *)data, size);

	(void)oci_config_parse(text, &config, &err);
	free(text);
	return 0;
}
