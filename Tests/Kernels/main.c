// Tests of the C kernels without Swift: every kernel of every instruction set that the processor has, against plain loops in double.
//
// They run where there is a C compiler only: under emulation of another processor above all (scripts/aarch64-kernels).
// Arguments are names of instruction sets that have to be there, so that a missing one is not taken for a passing one.
#include "support.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
  printf("instruction sets:");
  for (int isa = CK_ISA_PORTABLE; isa <= CK_ISA_NEON; ++isa) {
    if (!ck_select_isa((ck_isa)isa)) continue;
    tested_sets[tested_count++] = (ck_isa)isa;
    printf(" %s", ck_isa_name((ck_isa)isa));
  }
  printf("\n");
  for (int i = 1; i < count; ++i) {
    bool found = false;
    for (int set = 0; set < tested_count; ++set) found = found || strcmp(arguments[i], set_name(set)) == 0;
    expect(found, "this processor has %s", arguments[i]);
  }
  pools[0] = ck_pool_create(1);
  pools[1] = ck_pool_create(3);
  if (!pools[0] || !pools[1]) {
    fprintf(stderr, "no threads for the tests\n");
    return 2;
  }
  test_products();
  test_linear();
  test_attention();
  test_convolutions();
  test_weight_gradients();
  test_steps();
  test_pooling();
  test_plain();
  test_plain_rows();
  test_neighbours();
  test_yardsticks();
  for (int i = 0; i < POOLS; ++i) ck_pool_destroy(pools[i]);
  return failures() == 0 ? 0 : 1;
}
