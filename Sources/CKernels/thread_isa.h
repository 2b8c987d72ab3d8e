// The instruction set of a job's caller, for the workers that run it.
#ifndef CK_THREAD_ISA_H
#define CK_THREAD_ISA_H
#include "ckernels.h"

/// This thread takes the instruction set of somebody else, who has checked that the machine has it.
void ck_adopt_isa(ck_isa isa);

#endif
