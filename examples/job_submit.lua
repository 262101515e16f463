-- SPDX-License-Identifier: Apache-2.0
-- For job_submit/lua (slurm.conf: JobSubmitPlugins=lua), beside slurm.conf on the
-- controller.  Variables that SPANK plugins, and users, hand to prolog and epilog are
-- part of their environment there: where all of it is larger than execve(2) takes, the
-- prolog cannot start, and Slurm drains the node.  slurm-aq's own is 80 bytes, and the
-- whole request, 30 KiB at most, with prefetch = yes.

local BYTES_MAX = 32 * 1024 -- of all such variables of a job
local VARIABLES_MAX = 100

function slurm_job_submit(job_desc, part_list, submit_uid)
    local bytes, variables = 0, 0
    for _, variable in pairs(job_desc.spank_job_env or {}) do
        bytes = bytes + #variable + 1
        variables = variables + 1
    end
    if bytes > BYTES_MAX or variables > VARIABLES_MAX then
        slurm.log_user("%d SPANK_* variables with %d bytes: a job may have %d, with %d bytes; unset some",
            variables, bytes, VARIABLES_MAX, BYTES_MAX)
        return slurm.ERROR
    end
    return slurm.SUCCESS
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
    return slurm.SUCCESS
end
