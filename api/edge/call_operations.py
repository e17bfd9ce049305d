"""What tools may ask of the API while they run: every operation that is open to them, by its name.

What is not named here is refused, and so is a new route until somebody has judged it: a test has
the names of all others. Open is what tools are for: agents, their memory, their messages. Shut is
what would give one more than a person gave it: what makes, attaches or runs tools, agent files that
bring some, what decides which calls wait for a person, and whatever holds keys.
"""

_OPEN = {
    "agents": """
        attach_archive_to_agent attach_core_memory_block attach_folder_to_agent
        attach_identity_to_agent attach_source_to_agent cancel_message
        close_all_files_for_agent close_file_for_agent count_agents create_agent
        create_agent_message_async create_agent_message_stream create_passage delete_agent
        delete_passage detach_archive_from_agent detach_core_memory_block
        detach_folder_from_agent detach_identity_from_agent detach_source_from_agent
        export_agent export_agent_with_skills list_agent_sources list_agents
        list_core_memory_blocks list_files_for_agent list_folders_for_agent list_messages
        list_passages list_tools_for_agent modify_agent modify_core_memory_block
        modify_message open_file_for_agent preview_model_request recompile_agent
        recompile_system_prompt reset_messages retrieve_agent retrieve_agent_context_window
        retrieve_agent_memory retrieve_core_memory_block search_archival_memory
        search_messages send_message summarize_messages
    """,
    "archives": """
        create_archive create_passage_in_archive create_passages_in_archive delete_archive
        delete_passage_from_archive list_agents_for_archive list_archives list_duplicates
        modify_archive reembed_archive retrieve_archive retrieve_archive_embedding
    """,
    "blocks": """
        attach_identity_to_block count_blocks create_block delete_block
        detach_identity_from_block diff_block_versions forget_block_versions
        list_agents_for_block list_block_versions list_blocks modify_block redo_block
        restore_block_version retrieve_block retrieve_block_version undo_block
    """,
    "chat": "list_openai_models retrieve_openai_model",
    "conversations": """
        cancel_conversation compact_conversation create_conversation delete_conversation
        fork_conversation list_conversation_messages list_conversations
        preview_conversation_model_request recompile_conversation retrieve_conversation
        retrieve_conversation_stream send_conversation_message update_conversation
    """,
    "folders": """
        count_folders create_folder delete_file_from_folder delete_folder get_folder_by_name
        list_agents_for_folder list_files_for_folder list_folder_passages list_folders
        modify_folder retrieve_file retrieve_folder retrieve_metadata upload_file_to_folder
    """,
    "groups": """
        attach_block_to_group count_groups create_group delete_group detach_block_from_group
        list_group_messages list_groups list_groups_for_agent modify_group
        modify_group_message reset_group_messages retrieve_group
    """,
    "health": "check_health check_readiness",
    "identities": """
        count_identities create_identity delete_identity list_agents_for_identity
        list_blocks_for_identity list_identities retrieve_identity update_identity
        upsert_identity upsert_properties_for_identity
    """,
    "jobs": "list_active_jobs list_jobs",
    "mcp-servers": """
        list_mcp_servers list_mcp_tools_by_server mcp_list_mcp_servers mcp_list_tools_for_mcp_server
        mcp_retrieve_mcp_server mcp_retrieve_mcp_tool
    """,
    "messages": """
        cancel_batch create_batch list_all_messages list_batches list_messages_for_batch
        retrieve_batch retrieve_message search_all_messages
    """,
    "models": "list_embedding_models list_models",
    "passages": "search_passages",
    "runs": """
        delete_run list_active_runs list_messages_for_run list_runs list_steps_for_run
        retrieve_metrics_for_run retrieve_run retrieve_stream_for_run retrieve_trace_for_run
        retrieve_usage_for_run
    """,
    "sources": """
        count_sources create_source delete_file_from_source delete_source
        get_agents_for_source get_file_metadata get_source_id_by_name get_sources_metadata
        list_source_files list_source_passages list_sources modify_source retrieve_source
        upload_file_to_source
    """,
    "steps": """
        list_messages_for_step list_steps modify_feedback_for_step retrieve_metrics_for_step
        retrieve_step retrieve_trace_for_step
    """,
    "tag": "list_tags",
    "tools": "count_tools list_tools retrieve_tool",
}
"""By the part of the API in which `/docs` shows them."""

OPEN_TO_TOOLS = frozenset(name for names in _OPEN.values() for name in names.split())
